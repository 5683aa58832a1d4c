package contract

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/protobuf/proto"
)

const (
	metricsAnswers    = "metrics.answers"
	metricsRepeatable = "metrics.repeatable"
)

var metricsChecks = []Check{
	{
		Name:      metricsAnswers,
		Rule:      "GetMetrics answers for each metric under the name that GetMetricSpec gives, without the prefix s0-",
		Why:       "KEDA puts the trigger's index before the name for the HPA, and takes it off before it calls",
		Reference: "pkg/scalers/external_scaler.go: RemoveIndexFromMetricName",
		needs:     []string{specAnswers},
		run:       checkMetricsAnswer,
	},
	{
		Name:      "metrics.one-value",
		Rule:      "GetMetrics answers with exactly one value",
		Why:       "KEDA passes all values on, and the HPA adds them up; of none it says that there are no metrics",
		Reference: "pkg/scalers/external_scaler.go: GetMetricsAndActivity; k8s pkg/controller/podautoscaler/replica_calculator.go: GetExternalPerPodMetricReplicas",
		needs:     []string{metricsAnswers},
		run: eachMetric(func(_ string, response *externalscaler.GetMetricsResponse) (string, string) {
			if n := len(response.GetMetricValues()); n != 1 {
				return describeValues(response), fmt.Sprintf("there are %d values", n)
			}
			return describeValues(response), ""
		}),
	},
	{
		Name:      "metrics.value",
		Rule:      "each value is finite and not negative",
		Why:       "KEDA turns NaN, infinite and negative values into 0, which scales in: what is not known must be an error",
		Reference: "pkg/scalers/scaler.go: quantityFromFloat64",
		needs:     []string{metricsAnswers},
		run: eachValue(func(_ string, value *externalscaler.MetricValue) (string, string) {
			v := kedaNumber(value.GetMetricValueFloat(), value.GetMetricValue())
			if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
				return fmt.Sprint(v), "KEDA would take it for 0"
			}
			return fmt.Sprint(v), ""
		}),
	},
	{
		Name:      "metrics.fields",
		Rule:      "the value is in metricValueFloat; the deprecated metricValue is 0 or equal",
		Why:       "KEDA takes metricValueFloat where it is above 0 and else metricValue: a float of 0 beside another integer means that integer",
		Reference: "pkg/scalers/external_scaler.go: GetMetricsAndActivity; pkg/scalers/externalscaler/externalscaler.proto: deprecated, use metricValueFloat",
		needs:     []string{metricsAnswers},
		run: eachValue(func(_ string, value *externalscaler.MetricValue) (string, string) {
			seen := fmt.Sprintf("metricValueFloat %v, metricValue %d", value.GetMetricValueFloat(), value.GetMetricValue())
			return seen, oneField(value.GetMetricValueFloat(), value.GetMetricValue())
		}),
	},
	{
		Name:      "metrics.name",
		Rule:      "each value carries the name that was asked for",
		Why:       "KEDA goes by the name that it asked for, so a value under another name would silently pass for it",
		Reference: "pkg/scalers/external_scaler.go: GetMetricsAndActivity",
		needs:     []string{metricsAnswers},
		run: eachValue(func(name string, value *externalscaler.MetricValue) (string, string) {
			if got := value.GetMetricName(); got != name {
				return got, fmt.Sprintf("asked for %q, the value is named %q", name, got)
			}
			return name, ""
		}),
	},
	{
		Name:      "metrics.unknown-name",
		Rule:      "GetMetrics for a name that GetMetricSpec does not give is an error",
		Why:       "after a rename the HPA asks for the old name until KEDA has replaced it: the value of another metric would scale by the wrong one",
		Reference: "pkg/scalers/external_scaler.go: GetMetricsAndActivity",
		needs:     []string{metricsAnswers},
		run: func(ctx context.Context, p *probe) Outcome {
			response, err := p.metrics(ctx, unknownName, nil).get()
			if err == nil {
				return fail("it was answered", "%s for %q", describeValues(response), unknownName)
			}
			return pass("%s", describeError(err))
		},
	},
	{
		Name:      metricsRepeatable,
		Rule:      "asking changes nothing: GetMetrics gives the same value again while the backend stands still",
		Why:       "KEDA asks at each tick and the HPA at each sync, with no agreed number of calls; each replica of a scaler must answer alike, because round_robin spreads the calls",
		Reference: "pkg/scalers/external_scaler.go: round_robin; pkg/scaling/scale_handler.go: GetScaledObjectMetrics",
		needs:     []string{metricsAnswers},
		run:       checkMetricsRepeat,
	},
}

const (
	unknownName   = "no-such-metric-of-the-conformance-suite"
	notComparable = "not judged: the backend's figures change meanwhile (--unsteady)"
)

func checkMetricsAnswer(ctx context.Context, p *probe) Outcome {
	names, err := p.names(ctx)
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	var all []string
	for _, name := range names {
		response, err := p.metrics(ctx, name, nil).get()
		if err != nil {
			reason := "GetMetrics failed: does the metadata point to a backend that is up?"
			if p.metrics(ctx, "s0-"+name, nil).err == nil {
				reason = fmt.Sprintf("it answers for %q alone: KEDA sends the name without s0-", "s0-"+name)
			}
			return fail(reason, "%s: %s", name, describeError(err))
		}
		all = append(all, describeValues(response))
	}
	return pass("%s", strings.Join(all, ", "))
}

// eachMetric judges the answer for every metric; judge returns what it saw, and what is
// wrong with it.
func eachMetric(judge func(name string, response *externalscaler.GetMetricsResponse) (seen, wrong string)) func(context.Context, *probe) Outcome {
	return func(ctx context.Context, p *probe) Outcome {
		names, err := p.names(ctx)
		if err != nil {
			return fail("GetMetricSpec failed", "%s", describeError(err))
		}
		var all []string
		for _, name := range names {
			response, err := p.metrics(ctx, name, nil).get()
			if err != nil {
				return fail("GetMetrics failed", "%s: %s", name, describeError(err))
			}
			seen, wrong := judge(name, response)
			if wrong != "" {
				return fail(wrong, "%s", seen)
			}
			all = append(all, seen)
		}
		return pass("%s", list(all))
	}
}

// eachValue judges every value of every metric.
func eachValue(judge func(name string, value *externalscaler.MetricValue) (seen, wrong string)) func(context.Context, *probe) Outcome {
	return eachMetric(func(name string, response *externalscaler.GetMetricsResponse) (string, string) {
		var all []string
		for _, value := range response.GetMetricValues() {
			seen, wrong := judge(name, value)
			if wrong != "" {
				return seen, wrong
			}
			all = append(all, seen)
		}
		return list(all), ""
	})
}

func checkMetricsRepeat(ctx context.Context, p *probe) Outcome {
	if p.Unsteady {
		return skip("%s", notComparable)
	}
	names, err := p.names(ctx)
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	const calls = 10
	for _, name := range names {
		var first *externalscaler.GetMetricsResponse
		for range calls {
			response, err := p.metrics(ctx, name, nil).get()
			if err != nil {
				return fail("GetMetrics failed when repeated", "%s: %s", name, describeError(err))
			}
			if first == nil {
				first = response
			}
			if !proto.Equal(first, response) {
				return fail("the value changed: is the backend in use (--unsteady)?", "%s, then %s", describeValues(first), describeValues(response))
			}
		}
	}
	return pass("%d equal answers", calls)
}

func describeValues(response *externalscaler.GetMetricsResponse) string {
	var all []string
	for _, value := range response.GetMetricValues() {
		all = append(all, fmt.Sprintf("%s %v", value.GetMetricName(), kedaNumber(value.GetMetricValueFloat(), value.GetMetricValue())))
	}
	if len(all) == 0 {
		return "no value"
	}
	return strings.Join(all, ", ")
}
