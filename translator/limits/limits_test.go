package limits

import (
	"os"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// What gives a pod more rights than its author has is refused unless the settings permit it,
// and the words say where it is and who can do something about it.
func TestPodLimits(t *testing.T) {
	const inSpec, inContainer = `{spec: {`, `{spec: {containers: [{name: subscriber, `
	accounts := func(patterns ...string) Limits { return Limits{ServiceAccounts: patterns} }
	privileged := Limits{PodSecurity: "privileged"}
	for name, test := range map[string]struct {
		template string
		limits   Limits
		want     []string // parts of the words; nil: permitted
	}{
		"labels alone":                    {`{metadata: {labels: {team: a}}}`, Limits{}, nil},
		"what workers need":               {`{spec: {nodeSelector: {a: b}, tolerations: [{operator: Exists}], priorityClassName: batch, imagePullSecrets: [{name: s}], volumes: [{name: a, emptyDir: {}}, {name: b, secret: {secretName: s}}, {name: c, persistentVolumeClaim: {claimName: c}}]}}`, Limits{}, nil},
		"privileged":                      {inContainer + `securityContext: {privileged: true, allowPrivilegeEscalation: true}}]}}`, Limits{}, []string{"baseline forbids", "privileged", `container "subscriber"`, "controller.limits.podSecurity", "--pod-security"}},
		"privileged, permitted":           {inContainer + `securityContext: {privileged: true, allowPrivilegeEscalation: true}}]}}`, privileged, nil},
		"privileged sidecar":              {`{spec: {containers: [{name: helper, image: x, securityContext: {privileged: true}}]}}`, Limits{}, []string{`container "helper"`}},
		"privileged init container":       {`{spec: {initContainers: [{name: helper, image: x, securityContext: {privileged: true}}]}}`, Limits{}, []string{`container "helper"`}},
		"hostPath":                        {inSpec + `volumes: [{name: root, hostPath: {path: /}}]}}`, Limits{}, []string{"hostPath volumes", `"root"`}},
		"hostNetwork":                     {inSpec + `hostNetwork: true}}`, Limits{}, []string{"host namespaces (hostNetwork=true)"}},
		"hostPID":                         {inSpec + `hostPID: true}}`, Limits{}, []string{"hostPID=true"}},
		"hostIPC":                         {inSpec + `hostIPC: true}}`, Limits{}, []string{"hostIPC=true"}},
		"hostPort":                        {inContainer + `ports: [{containerPort: 80, hostPort: 80}]}]}}`, Limits{}, []string{"hostPort 80"}},
		"a capability":                    {inContainer + `securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}}`, Limits{}, []string{`"SYS_ADMIN"`}},
		"unconfined seccomp":              {inSpec + `securityContext: {seccompProfile: {type: Unconfined}}}}`, Limits{}, []string{"seccompProfile"}},
		"unconfined AppArmor":             {`{metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/subscriber: unconfined}}}`, Limits{}, []string{"AppArmor"}},
		"a probe of another host":         {inContainer + `livenessProbe: {httpGet: {host: 169.254.169.254, port: 80}}}]}}`, Limits{}, []string{"169.254.169.254"}},
		"root under baseline":             {inSpec + `securityContext: {runAsNonRoot: false, runAsUser: 0}}}`, Limits{}, nil},
		"root under restricted":           {inSpec + `securityContext: {runAsNonRoot: false, runAsUser: 0}}}`, Limits{PodSecurity: "restricted"}, []string{"restricted forbids", "runAsNonRoot"}},
		"two at once":                     {inSpec + `hostPID: true, serviceAccountName: admin}}`, Limits{}, []string{"hostPID", `serviceAccountName is "admin"`}},
		"a node":                          {inSpec + `nodeName: control-plane}}`, Limits{}, []string{`nodeName is "control-plane"`, "nodeSelector"}},
		"a node, permitted":               {inSpec + `nodeName: control-plane}}`, privileged, nil},
		"the cluster's own priority":      {inSpec + `priorityClassName: system-node-critical}}`, Limits{}, []string{`priorityClassName is "system-node-critical"`}},
		"an account":                      {inSpec + `serviceAccountName: admin}}`, Limits{}, []string{`spec.template.spec.serviceAccountName is "admin"`, "namespace shop", "leave it out", "controller.limits.serviceAccounts", "--allowed-service-accounts"}},
		"an account by its old name":      {inSpec + `serviceAccount: admin}}`, Limits{}, []string{`serviceAccountName is "admin"`}},
		"an account, though privileged":   {inSpec + `serviceAccountName: admin}}`, privileged, []string{`serviceAccountName is "admin"`}},
		"an account by name":              {inSpec + `serviceAccountName: admin, automountServiceAccountToken: true}}`, accounts("other", "admin"), nil},
		"an account by pattern":           {inSpec + `serviceAccountName: worker-orders}}`, accounts("worker-*"), nil},
		"an account of the namespace":     {inSpec + `serviceAccountName: admin}}`, accounts("shop/*"), nil},
		"an account of another namespace": {inSpec + `serviceAccountName: admin}}`, accounts("other/admin"), []string{`serviceAccountName is "admin"`}},
		"any account":                     {inSpec + `serviceAccountName: admin}}`, accounts("*"), nil},
		"the default account":             {inSpec + `serviceAccountName: default}}`, Limits{}, nil},
		"the default's token":             {inSpec + `automountServiceAccountToken: true}}`, Limits{}, []string{"automountServiceAccountToken is true", `token of "default"`}},
		"the default's token, by null":    {inSpec + `automountServiceAccountToken: null}}`, Limits{}, []string{"automountServiceAccountToken is true"}},
		"the default's token, projected":  {inSpec + `volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]}}`, Limits{}, []string{"volumes v is a serviceAccountToken"}},
		"the default's token, permitted":  {inSpec + `automountServiceAccountToken: true, volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]}}`, accounts("default"), nil},
		"the default's certificate":       {inSpec + `volumes: [{name: v, projected: {sources: [{podCertificate: {signerName: kubernetes.io/kube-apiserver-client-pod, keyType: ED25519, credentialBundlePath: c}}]}}]}}`, Limits{}, []string{"volumes v is a podCertificate", `certificate of "default"`}},
		"its certificate, permitted":      {inSpec + `volumes: [{name: v, projected: {sources: [{podCertificate: {signerName: kubernetes.io/kube-apiserver-client-pod, keyType: ED25519, credentialBundlePath: c}}]}}]}}`, accounts("default"), nil},
		"another projection":              {inSpec + `volumes: [{name: v, projected: {sources: [{configMap: {name: c}}]}}]}}`, Limits{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, test.limits.Check())
			channel := channeltest.Channel(channeltest.Templated(t, test.template), func(c *v1.PubSubChannel) { c.Namespace = "shop" })
			desired, err := build.Deployment(plan.Of(channel))
			require.NoError(t, err)
			err = test.limits.CheckPod(channel, desired.Spec.Template)
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			var got *plan.Problem
			require.ErrorAs(t, err, &got)
			assert.Equal(t, v1.ReasonNotPermitted, got.Reason)
			assert.Equal(t, v1.PhaseFailed, got.Phase)
			for _, words := range test.want {
				assert.Contains(t, got.Message, words)
			}
		})
	}
}

func TestTriggerLimits(t *testing.T) {
	trigger := func(kind, name string, metadata map[string]string) kedav1alpha1.ScaleTriggers {
		out := kedav1alpha1.ScaleTriggers{Type: "aws-sqs-queue", Metadata: metadata}
		if name != "" {
			out.AuthenticationRef = &kedav1alpha1.AuthenticationRef{Kind: kind, Name: name}
		}
		return out
	}
	const cluster = "ClusterTriggerAuthentication"
	for name, test := range map[string]struct {
		trigger kedav1alpha1.ScaleTriggers
		limits  Limits
		want    []string
	}{
		"none":                          {trigger("", "", nil), Limits{}, nil},
		"of the namespace":              {trigger("", "vault", map[string]string{"identityOwner": "pod"}), Limits{}, nil},
		"of the namespace, by its kind": {trigger("TriggerAuthentication", "vault", nil), Limits{}, nil},
		"of the cluster":                {trigger(cluster, "vault", nil), Limits{PodSecurity: "privileged", ServiceAccounts: []string{"*"}}, []string{`spec.autoScaling.triggers[1].authenticationRef is ClusterTriggerAuthentication "vault"`, "namespace shop", "controller.limits.clusterTriggerAuthentications"}},
		"of a kind yet to come":         {trigger("GlobalTriggerAuthentication", "vault", nil), Limits{}, []string{"GlobalTriggerAuthentication"}},
		"of the cluster, permitted":     {trigger(cluster, "vault", nil), Limits{ClusterTriggerAuthentications: []string{"shop/v*"}}, nil},
		"of the cluster, elsewhere":     {trigger(cluster, "vault", nil), Limits{ClusterTriggerAuthentications: []string{"other/*"}}, []string{"vault"}},
		"KEDA's own identity":           {trigger("", "", map[string]string{"identityOwner": "operator"}), Limits{}, []string{`spec.autoScaling.triggers[1].metadata.identityOwner is "operator"`, "--allow-keda-identity"}},
		"KEDA's own, permitted":         {trigger("", "", map[string]string{"identityOwner": "operator"}), Limits{KEDAIdentity: true}, nil},
		"a file of KEDA's":              {trigger("", "", map[string]string{"credentialsFromEnvFile": "A"}), Limits{}, []string{"credentialsFromEnvFile"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, test.limits.Check())
			channel := channeltest.Channel(func(c *v1.PubSubChannel) {
				c.Namespace = "shop"
				c.Spec.AutoScaling = &v1.AutoScalingSpec{Enabled: true, Triggers: []kedav1alpha1.ScaleTriggers{{Type: "cron"}, test.trigger}}
			})
			err := test.limits.CheckTriggers(plan.Of(channel))
			if test.want == nil {
				assert.NoError(t, err)
				return
			}
			var got *plan.Problem
			require.ErrorAs(t, err, &got)
			assert.Equal(t, v1.ReasonNotPermitted, got.Reason)
			for _, words := range test.want {
				assert.Contains(t, got.Message, words)
			}
		})
	}
}

func TestLimitsCheck(t *testing.T) {
	assert.NoError(t, Limits{}.Check())
	assert.NoError(t, Limits{PodSecurity: "restricted", ServiceAccounts: []string{"*", "shop/worker-?"}, ClusterTriggerAuthentications: []string{"*/vault"}}.Check())
	for want, limits := range map[string]Limits{
		`--pod-security is "strict"`:                            {PodSecurity: "strict"},
		`--allowed-service-accounts has "a["`:                   {ServiceAccounts: []string{"a["}},
		`--allowed-service-accounts has ""`:                     {ServiceAccounts: []string{""}},
		`--allowed-cluster-trigger-authentications has "a/b/c"`: {ClusterTriggerAuthentications: []string{"a/b/c"}},
	} {
		assert.ErrorContains(t, limits.Check(), want)
	}
}

// Without a template there is nothing to check, because what the operator makes itself meets
// the strictest limits, whatever else a channel asks for.
func TestOwnPodsMeetTheLimits(t *testing.T) {
	data, err := os.ReadFile("../testdata/everything.yaml")
	require.NoError(t, err)
	everything := &v1.PubSubChannel{}
	require.NoError(t, yaml.Unmarshal(data, everything))
	everything.Spec.Template = nil
	for _, channel := range []*v1.PubSubChannel{channeltest.Channel(), everything} {
		desired, err := build.Deployment(plan.Of(channel))
		require.NoError(t, err)
		channel.Spec.Template = &v1.PodTemplate{} // so that it is checked
		assert.NoError(t, Limits{PodSecurity: "restricted"}.CheckPod(channel, desired.Spec.Template))
		desired.Spec.Template.Spec.WithHostNetwork(true)
		assert.Error(t, Limits{PodSecurity: "restricted"}.CheckPod(channel, desired.Spec.Template), "the check finds what is there")
	}
}
