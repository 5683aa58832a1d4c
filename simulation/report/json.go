package report

import (
	"cmp"
	"encoding/json"
	"io"
	"math"
	"slices"
	"time"

	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// The JSON form. Field names of the spec are those of PubSubChannel's spec.autoScaling;
// times are in seconds.
type (
	jsonReport struct {
		Trace       jsonTrace    `json:"trace"`
		Seed        uint64       `json:"seed"`
		Model       jsonModel    `json:"model"`
		AutoScaling jsonSpec     `json:"autoScaling"`
		Results     []jsonResult `json:"results"`
	}
	jsonTrace struct {
		Name          string  `json:"name"`
		Description   string  `json:"description"`
		LengthSeconds float64 `json:"lengthSeconds"`
		Messages      int64   `json:"messages"`
	}
	jsonModel struct {
		ServiceRate       float64 `json:"serviceRate"`
		PodStartSeconds   float64 `json:"podStartSeconds"`
		HPASyncSeconds    float64 `json:"hpaSyncSeconds"`
		HPAKeepsTolerance bool    `json:"hpaKeepsTolerance"`

		// Those are there if messages are modelled one by one.
		ServiceTime          work.Distribution `json:"serviceTime,omitempty"`
		ServiceTimeVariation float64           `json:"serviceTimeVariation,omitempty"`
		Concurrency          int               `json:"concurrency,omitempty"`
	}
	jsonSpec struct {
		MinReplicas          int32   `json:"minReplicas"`
		MaxReplicas          int32   `json:"maxReplicas"`
		TargetQueueDepth     int64   `json:"targetQueueDepth"`
		ScaleUpThreshold     int32   `json:"scaleUpThreshold"`
		ScaleDownThreshold   int32   `json:"scaleDownThreshold"`
		CooldownPeriod       float64 `json:"cooldownPeriod"`
		ActivationQueueDepth int64   `json:"activationQueueDepth"`
		MaxScaleUpStep       string  `json:"maxScaleUpStep,omitempty"`
		MaxScaleDownStep     string  `json:"maxScaleDownStep,omitempty"`
	}
	jsonResult struct {
		Autoscaler    *simulation.Autoscaler `json:"autoscaler"`
		Label         string                 `json:"label"`
		Wait          jsonWait               `json:"waitSeconds"`
		ReplicaHours  float64                `json:"replicaHours"`
		MeanReplicas  float64                `json:"meanReplicas"`
		MaxReplicas   int32                  `json:"maxReplicas"`
		Scalings      int                    `json:"scalings"`
		GreatestDepth int64                  `json:"greatestDepth"`
		Left          int64                  `json:"left"`
	}
	jsonWait struct {
		P50  float64 `json:"p50"`
		P99  float64 `json:"p99"`
		Max  float64 `json:"max"`
		Mean float64 `json:"mean"`
	}
)

// JSON writes the reports as a list.
func JSON(w io.Writer, reports []Report) error {
	list := make([]jsonReport, 0, len(reports))
	for _, r := range reports {
		list = append(list, r.json())
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(list)
}

func (r Report) json() jsonReport {
	spec := r.Config.Spec
	report := jsonReport{
		Trace: jsonTrace{r.Trace.Name, r.Trace.Description, r.Trace.Length().Seconds(), int64(math.Round(r.Results[0].Arrived))},
		Seed:  r.Seed,
		Model: r.jsonModel(),
		AutoScaling: jsonSpec{
			MinReplicas:          spec.MinReplicas,
			MaxReplicas:          spec.MaxReplicas,
			TargetQueueDepth:     spec.TargetQueueDepth,
			ScaleUpThreshold:     spec.ScaleUpThreshold,
			ScaleDownThreshold:   spec.ScaleDownThreshold,
			CooldownPeriod:       spec.Cooldown.Seconds(),
			ActivationQueueDepth: spec.ActivationQueueDepth,
			MaxScaleUpStep:       spec.MaxScaleUpStep.String(),
			MaxScaleDownStep:     spec.MaxScaleDownStep.String(),
		},
	}
	for _, result := range r.Results {
		report.Results = append(report.Results, jsonResult{
			Autoscaler:    result.Autoscaler,
			Label:         result.Label,
			Wait:          jsonWait{millis(result.P50), millis(result.P99), millis(result.Max), millis(result.Mean)},
			ReplicaHours:  rounded(result.ReplicaHours),
			MeanReplicas:  rounded(result.MeanReplicas()),
			MaxReplicas:   slices.Max(result.Replicas),
			Scalings:      result.Scalings,
			GreatestDepth: int64(math.Round(slices.Max(result.Depth))),
			Left:          int64(math.Round(result.Left)),
		})
	}
	return report
}

func (r Report) jsonModel() jsonModel {
	c := r.Config
	model := jsonModel{ServiceRate: c.ServiceRate, PodStartSeconds: c.PodStart.Seconds(), HPASyncSeconds: c.HPASync.Seconds(), HPAKeepsTolerance: c.KeepsTolerance}
	if !c.Work.IsFlow() {
		model.ServiceTime = cmp.Or(c.Work.Distribution, work.Fixed)
		model.ServiceTimeVariation, model.Concurrency = c.Work.Variation, c.Work.Slots()
	}
	return model
}

// millis is seconds to the millisecond, which is as exact as the model.
func millis(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

func rounded(value float64) float64 { return math.Round(value*1000) / 1000 }
