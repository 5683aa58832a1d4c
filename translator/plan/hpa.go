package plan

import (
	"cmp"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
)

// TransferAnnotation lets KEDA take over an HPA that scales the target already.
const TransferAnnotation = kedav1alpha1.ScaledObjectTransferHpaOwnershipAnnotation

// TransfersHPA reports whether the channel asks for that, as KEDA reads it: the HPA must be
// named.
func (p *Plan) TransfersHPA() bool {
	return p.AutoScaling.HPAName != "" && p.Channel.Annotations[TransferAnnotation] == "true"
}

// HPAName is the name of a channel's HPA (KEDA 2.21, controllers/keda/hpa.go, getHPAName).
func (p *Plan) HPAName() string {
	return cmp.Or(p.AutoScaling.HPAName, "keda-hpa-"+p.Channel.Name)
}
