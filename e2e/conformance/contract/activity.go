package contract

import (
	"context"
	"fmt"
)

const (
	activityAnswers    = "activity.answers"
	activityRepeatable = "activity.repeatable"
)

var activityChecks = []Check{
	{
		Name:      activityAnswers,
		Rule:      "IsActive answers whenever GetMetrics did",
		Why:       "KEDA calls the one and then the other, and throws the metrics away where IsActive fails: answer both from one snapshot",
		Reference: "pkg/scalers/external_scaler.go: GetMetricsAndActivity",
		needs:     []string{metricsAnswers},
		run: func(ctx context.Context, p *probe) Outcome {
			names, err := p.names(ctx)
			if err != nil {
				return fail("GetMetricSpec failed", "%s", describeError(err))
			}
			const pairs = 5
			var all []string
			for range pairs {
				for _, name := range names {
					if err := p.metrics(ctx, name, nil).err; err != nil {
						return fail("GetMetrics failed when repeated", "%s: %s", name, describeError(err))
					}
					response, err := p.active(ctx, nil).get()
					if err != nil {
						return fail("IsActive failed right after GetMetrics had answered", "%s", describeError(err))
					}
					all = append(all, describeActivity(response.GetResult()))
				}
			}
			return pass("%s, after each of %d calls of GetMetrics", list(all), len(all))
		},
	},
	{
		Name:      activityRepeatable,
		Rule:      "IsActive gives the same answer again while the backend stands still",
		Why:       "it decides between 0 replicas and more; after cooldownPeriod without activity KEDA takes any number of replicas straight to 0",
		Reference: "pkg/scaling/executor/scale_scaledobjects.go: scaleToZeroOrIdle",
		needs:     []string{activityAnswers},
		run: func(ctx context.Context, p *probe) Outcome {
			if p.Unsteady {
				return skip("%s", notComparable)
			}
			const calls = 10
			var seen []string
			for range calls {
				response, err := p.active(ctx, nil).get()
				if err != nil {
					return fail("IsActive failed when repeated", "%s", describeError(err))
				}
				seen = append(seen, describeActivity(response.GetResult()))
				if seen[0] != seen[len(seen)-1] {
					return fail("the answer changed: is the backend in use (--unsteady)?", "%s, then %s", seen[0], seen[len(seen)-1])
				}
			}
			return pass("%s, %d times", seen[0], calls)
		},
	},
}

func describeActivity(active bool) string {
	return fmt.Sprintf("active: %t", active)
}
