package trace

import (
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// BuiltIn is a trace with the limits, target, thresholds and cooldown that it is replayed
// with unless others are asked for.
type BuiltIn struct {
	Trace
	Spec policy.Spec
	// Fixed is the replicas of the fixed fleet that it is compared with; 0 leaves it to
	// the caller.
	Fixed       int32
	ServiceRate float64   // messages per second that one worker finishes; 0 leaves it to the caller
	Work        work.Work // how long messages take
}

// Lookup returns the built-in trace of that name.
func Lookup(name string) (BuiltIn, bool) {
	for _, builtIn := range BuiltIns() {
		if builtIn.Name == name {
			return builtIn, true
		}
	}
	return BuiltIn{}, false
}

// Names are the names of the built-in traces.
func Names() []string {
	var names []string
	for _, builtIn := range BuiltIns() {
		names = append(names, builtIn.Name)
	}
	return names
}

// BuiltIns are the traces that come with the program.
func BuiltIns() []BuiltIn {
	return append(flows(), shapes()...)
}

// flows are the traces that are modelled as a flow.
func flows() []BuiltIn {
	return []BuiltIn{flash(), spike(), steady(), daily(), batch(), outage()}
}

// spec is the product's defaults with other limits.
func spec(least, most int32) policy.Spec {
	spec := policy.DefaultSpec()
	spec.MinReplicas, spec.MaxReplicas = least, most
	return spec
}

func flash() BuiltIn {
	trace := Trace{
		Name:        "flash",
		Description: "a flash sale: 83/s, up to 1,667/s within 10 minutes, down again over two hours",
		Ramps: []Ramp{
			{Length: 10 * time.Minute, From: 83, To: 83},
			{Length: 5 * time.Minute, From: 83, To: 667},
			{Length: 5 * time.Minute, From: 667, To: 1667},
			{Length: 25 * time.Minute, From: 1667, To: 1667},
			{Length: 45 * time.Minute, From: 1667, To: 833},
			{Length: 90 * time.Minute, From: 833, To: 83},
			{Length: 30 * time.Minute, From: 83, To: 83},
		},
	}
	flash := BuiltIn{Trace: trace, Spec: spec(5, 50), Fixed: 20}
	flash.Spec.TargetQueueDepth = 500
	flash.Spec.ScaleDownThreshold = 40
	flash.Spec.Cooldown = 30 * time.Second
	return flash
}

func spike() BuiltIn {
	trace := Trace{Name: "spike", Description: "20/s, and four times two minutes of 1,200/s, every half hour"}
	for range 4 {
		trace.Ramps = append(trace.Ramps,
			Ramp{Length: 10 * time.Minute, From: 20, To: 20},
			Ramp{Length: 2 * time.Minute, From: 1200, To: 1200},
			Ramp{Length: 18 * time.Minute, From: 20, To: 20})
	}
	return BuiltIn{Trace: trace, Spec: spec(2, 50)}
}

func steady() BuiltIn {
	return BuiltIn{
		Trace: Trace{
			Name:        "steady",
			Description: "500/s for two hours",
			Ramps:       []Ramp{{Length: 2 * time.Hour, From: 500, To: 500}},
		},
		Spec: spec(2, 50),
	}
}

// daily is a day of a shop in one time zone. Between the hours the rate changes evenly.
func daily() BuiltIn {
	trace := Trace{Name: "daily", Description: "a day of a shop: a quiet night, a morning rush, a dip at lunch, an evening peak of 900/s"}
	hourly := []float64{
		120, 60, 30, 20, 20, 40, 120, 300, 520, 640, 680, 640, // 0:00 to 11:00
		460, 440, 600, 660, 640, 620, 680, 820, 900, 760, 480, 240, // 12:00 to 23:00
		120,
	}
	for hour, rate := range hourly[:24] {
		trace.Ramps = append(trace.Ramps, Ramp{Length: time.Hour, From: rate, To: hourly[hour+1]})
	}
	return BuiltIn{Trace: trace, Spec: spec(2, 50)}
}

// batch is what a queue of reports or invoices sees: nothing, and the whole hour's work at
// once.
func batch() BuiltIn {
	trace := Trace{
		Name:        "batch",
		Description: "a cron job puts 100,000 messages in at once, every hour for four hours; nothing in between",
		Ramps:       []Ramp{{Length: 4 * time.Hour}},
	}
	for hour := range 4 {
		trace.Batches = append(trace.Batches, Batch{At: time.Duration(hour)*time.Hour + 10*time.Minute, Length: time.Second, Messages: 100_000})
	}
	return BuiltIn{Trace: trace, Spec: spec(0, 50)}
}

// outage is a producer that is away for a quarter of an hour and then sends what it could
// not, as fast as four times its usual rate.
func outage() BuiltIn {
	return BuiltIn{
		Trace: Trace{
			Name:        "outage",
			Description: "400/s; the producer is away for 15 minutes, then sends what piled up at 1,600/s on top",
			Ramps: []Ramp{
				{Length: 45 * time.Minute, From: 400, To: 400},
				{Length: 15 * time.Minute},
				{Length: 225 * time.Second, From: 2000, To: 2000}, // 15 minutes of 400/s at 1,600/s, and 400/s
				{Length: 56*time.Minute + 15*time.Second, From: 400, To: 400},
			},
		},
		Spec: spec(2, 50),
	}
}
