package inspect

import (
	"strings"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// ReasonName is a decision's reason in the form of Kubernetes' reasons: REASON_WITHIN_BAND →
// WithinBand. known is false for a reason of a newer scaler, whose name is its number.
func ReasonName(reason inspectv1.Reason) (name string, known bool) {
	_, known = inspectv1.Reason_name[int32(reason)]
	return camelCase(strings.TrimPrefix(reason.String(), "REASON_")), known
}

// ActionName is the action in the same form: ACTION_SCALE_UP → ScaleUp.
func ActionName(action inspectv1.Action) string {
	return camelCase(strings.TrimPrefix(action.String(), "ACTION_"))
}

// CodeName is a failure's code in the same form: FAILED_PRECONDITION → FailedPrecondition.
func CodeName(failure *inspectv1.Failure) string { return camelCase(failure.GetCode()) }

func camelCase(name string) string {
	var out strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		if word != "" {
			out.WriteString(word[:1] + strings.ToLower(word[1:]))
		}
	}
	return out.String()
}
