package contract

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/protobuf/proto"
)

const specAnswers = "metric-spec.answers"

var metricSpecChecks = []Check{
	{
		Name:      specAnswers,
		Rule:      "GetMetricSpec answers with at least one spec",
		Why:       "without a spec KEDA builds no HPA; and while the call fails, the fallback of the ScaledObject never counts",
		Reference: "controllers/keda/hpa.go: getScaledObjectMetricSpecs; keda#8056",
		run: func(ctx context.Context, p *probe) Outcome {
			response, err := p.spec(ctx, nil).get()
			if err != nil {
				return fail("GetMetricSpec failed", "%s", describeError(err))
			}
			if len(response.GetMetricSpecs()) == 0 {
				return fail("there is no spec", "an empty answer")
			}
			return pass("%s", describeSpecs(response))
		},
	},
	{
		Name:      "metric-spec.target",
		Rule:      "each target is finite, and above 0 when counted in thousandths",
		Why:       "KEDA counts in thousandths, and infinite is 0 to it; the API server refuses an HPA whose target is not positive",
		Reference: "pkg/scalers/scaler.go: quantityFromFloat64; k8s pkg/apis/autoscaling/validation/validation.go: validateMetricTarget",
		needs:     []string{specAnswers},
		run: eachSpec(func(spec *externalscaler.MetricSpec) (string, string) {
			target := kedaTarget(spec)
			if !(target >= 0.0005) || math.IsInf(target, 0) { // NaN is not greater than anything
				return fmt.Sprintf("target %v", target), "the HPA's target would be 0 or less"
			}
			return fmt.Sprintf("target %v", target), ""
		}),
	},
	{
		Name:      "metric-spec.fields",
		Rule:      "the target is in targetSizeFloat; the deprecated targetSize is 0 or equal",
		Why:       "KEDA takes targetSizeFloat where it is above 0 and else targetSize: two values mean two things to two readers",
		Reference: "pkg/scalers/external_scaler.go: buildMetricSpecs; pkg/scalers/externalscaler/externalscaler.proto: deprecated, use targetSizeFloat",
		needs:     []string{specAnswers},
		run: eachSpec(func(spec *externalscaler.MetricSpec) (string, string) {
			seen := fmt.Sprintf("targetSizeFloat %v, targetSize %d", spec.GetTargetSizeFloat(), spec.GetTargetSize())
			return seen, oneField(spec.GetTargetSizeFloat(), spec.GetTargetSize())
		}),
	},
	{
		Name:      "metric-spec.name",
		Rule:      "each metric has a name of its own, without / . : % ( )",
		Why:       "the name is part of the path of the external metrics API, and KEDA does not clean it as it does for its own scalers; it refuses one that is there twice",
		Reference: "pkg/util/normalize_string.go: NormalizeString; controllers/keda/hpa.go: defined multiple times; k8s pkg/apis/autoscaling/validation/validation.go: validateMetricIdentifier",
		needs:     []string{specAnswers},
		run:       checkNames,
	},
	{
		Name:      "metric-spec.stable",
		Rule:      "GetMetricSpec gives the same answer on each call and connection",
		Why:       "KEDA asks at each tick and each sync and writes what it hears into the HPA: a name that changes leaves the HPA asking for one that is gone",
		Reference: "controllers/keda/hpa.go: getScaledObjectMetricSpecs; pkg/scaling/scale_handler.go: GetScaledObjectMetrics",
		needs:     []string{specAnswers},
		run:       checkStableSpec,
	},
	{
		Name:      "metric-spec.without-backend",
		Rule:      "GetMetricSpec answers while the backend is down",
		Why:       "KEDA asks for the spec before the metric; while it gets none it counts no failure, and the fallback never starts",
		Reference: "keda#8056; pkg/scaling/scale_handler.go: GetScaledObjectMetrics",
		needs:     []string{specAnswers},
		run: func(ctx context.Context, p *probe) Outcome {
			if p.DeadBackend == nil {
				return skip("%s", noDeadBackend)
			}
			response, err := p.spec(ctx, p.DeadBackend).get()
			if err != nil {
				return fail("GetMetricSpec depends on the backend: make it from the metadata alone", "%s", describeError(err))
			}
			if len(response.GetMetricSpecs()) == 0 {
				return fail("there is no spec while the backend is down", "an empty answer")
			}
			return pass("%s", describeSpecs(response))
		},
	},
}

const noDeadBackend = "not judged: no metadata that points to a dead backend was given (--dead-backend-metadata)"

// eachSpec judges every spec; judge returns what it saw, and what is wrong with it.
func eachSpec(judge func(*externalscaler.MetricSpec) (seen, wrong string)) func(context.Context, *probe) Outcome {
	return func(ctx context.Context, p *probe) Outcome {
		response, err := p.spec(ctx, nil).get()
		if err != nil {
			return fail("GetMetricSpec failed", "%s", describeError(err))
		}
		var all []string
		for _, spec := range response.GetMetricSpecs() {
			seen, wrong := judge(spec)
			if wrong != "" {
				return fail(wrong, "%s: %s", spec.GetMetricName(), seen)
			}
			all = append(all, seen)
		}
		return pass("%s", list(all))
	}
}

// kedaTarget is the target that KEDA takes from a spec.
func kedaTarget(spec *externalscaler.MetricSpec) float64 {
	return kedaNumber(spec.GetTargetSizeFloat(), spec.GetTargetSize())
}

func kedaNumber(float float64, integer int64) float64 {
	if float > 0 {
		return float
	}
	if integer != 0 {
		return float64(integer)
	}
	return float // KEDA would use the integer's 0; what the scaler meant says more
}

// oneField is what is wrong with a pair of a field and its deprecated forerunner.
func oneField(float float64, integer int64) string {
	switch {
	case integer == 0:
		return ""
	case !(float > 0):
		return fmt.Sprintf("only the deprecated integer is used, and KEDA takes %d: use the float", integer)
	case float64(integer) != float && float64(integer) != math.Trunc(float) && float64(integer) != math.Ceil(float):
		return "the two fields differ: leave the integer 0"
	default:
		return ""
	}
}

func checkNames(ctx context.Context, p *probe) Outcome {
	names, err := p.names(ctx)
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	for i, name := range names {
		switch {
		case name == "":
			return fail("a metric has no name", "%q", names)
		case strings.ContainsAny(name, "/.:%() "):
			return fail("a name has one of / . : % ( ) or a space: use dashes", "%q", name)
		case slices.Contains(names[:i], name):
			return fail("a name is there twice", "%q", names)
		}
	}
	return pass("%s", strings.Join(names, ", "))
}

func checkStableSpec(ctx context.Context, p *probe) Outcome {
	first, err := p.spec(ctx, nil).get()
	if err != nil {
		return fail("GetMetricSpec failed", "%s", describeError(err))
	}
	connection, err := dial(p.Config, p.TLS)
	if err != nil {
		return fail("a second connection failed", "%v", err)
	}
	defer func() { _ = connection.Close() }() // nothing is in flight
	other := externalscaler.NewExternalScalerClient(connection)
	const calls = 5
	for i := range 2 * calls {
		client, where := p.scaler, "the same connection"
		if i >= calls {
			client, where = other, "a second connection"
		}
		again, err := call(ctx, p.Limits.Call, client.GetMetricSpec, p.ref(nil)).get()
		if err != nil {
			return fail("GetMetricSpec failed on "+where, "%s", describeError(err))
		}
		if !sameSpecs(first, again) {
			return fail("the answer changed on "+where, "%s, then %s", describeSpecs(first), describeSpecs(again))
		}
	}
	return pass("%d equal answers on 2 connections", 2*calls+1)
}

// sameSpecs compares without regard to the order: KEDA sorts them.
func sameSpecs(a, b *externalscaler.GetMetricSpecResponse) bool {
	sorted := func(r *externalscaler.GetMetricSpecResponse) []*externalscaler.MetricSpec {
		return slices.SortedStableFunc(slices.Values(r.GetMetricSpecs()), func(a, b *externalscaler.MetricSpec) int {
			return cmp.Compare(a.GetMetricName(), b.GetMetricName())
		})
	}
	return slices.EqualFunc(sorted(a), sorted(b), func(a, b *externalscaler.MetricSpec) bool { return proto.Equal(a, b) })
}

func describeSpecs(response *externalscaler.GetMetricSpecResponse) string {
	var all []string
	for _, spec := range response.GetMetricSpecs() {
		all = append(all, fmt.Sprintf("%s target %v", spec.GetMetricName(), kedaTarget(spec)))
	}
	if len(all) == 0 {
		return "no spec"
	}
	return strings.Join(all, ", ")
}
