package dashboardtest

import (
	"fmt"
	"math"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

func ptr[T any](value T) *T { return &value }

// well is a channel that is well, with its depth in the band.
func well(name string) protocol.Row {
	return protocol.Row{
		Key: "shop/" + name, Namespace: "shop", Name: name, Phase: "Running", Words: "queue depth 120 is between the bounds 50 and 150",
		Autoscaled: true, Policy: "Threshold", Replicas: 1, Ready: 1, Desired: 1, Min: 1, Max: 20,
		Depth: ptr[int64](120), Waiting: ptr[int64](112), InFlight: ptr[int64](8), LowerBound: ptr[int64](50), UpperBound: ptr[int64](150),
		Rate: ptr[int64](40), Action: "Hold", Reason: "WithinBand", Oldest: ptr(time.Now().Add(-14 * time.Second)),
	}
}

// with changes a row.
func with(row protocol.Row, change func(*protocol.Row)) protocol.Row {
	change(&row)
	return row
}

// fleet is a handful of channels in all states.
func fleet() []protocol.Row {
	now := time.Now()
	rows := []protocol.Row{
		with(well("returns"), func(r *protocol.Row) {
			r.Phase, r.Severity, r.Trouble, r.Reason, r.Action = "Failed", 2, "QueueUnreadable", "", ""
			r.Words = `Connected is False: the server at dragonfly.shop:6379 can't be reached: connection refused`
			r.Depth, r.Waiting, r.InFlight, r.LowerBound, r.UpperBound, r.Rate, r.Oldest = nil, nil, nil, nil, nil, nil, nil
			r.Replicas, r.Ready, r.Desired = 2, 0, 2
		}),
		with(well("mail"), func(r *protocol.Row) {
			r.Namespace, r.Severity, r.Trouble = "crm", 1, "WorkersNotReady"
			r.Words = "2 of 6 workers are not ready: CrashLoopBackOff"
			r.Replicas, r.Ready, r.Desired, r.Max = 6, 4, 6, 10
			r.Depth, r.LowerBound, r.UpperBound, r.InFlight = ptr[int64](512), ptr[int64](300), ptr[int64](900), ptr[int64](61)
		}),
		with(well("orders"), func(r *protocol.Row) {
			r.Phase, r.Action, r.Reason, r.Replicas, r.Ready, r.Desired = "Scaling", "ScaleUp", "AboveUpperBound", 3, 3, 5
			r.Words = "queue depth 640 is above the upper bound 450: 5 replicas hold it within the band"
			r.Depth, r.LowerBound, r.UpperBound, r.InFlight, r.Rate = ptr[int64](640), ptr[int64](150), ptr[int64](450), ptr[int64](30), ptr[int64](212)
		}),
		with(well("invoices"), func(r *protocol.Row) {
			r.Action, r.Reason, r.Replicas, r.Ready, r.Desired = "ScaleDown", "BelowLowerBound", 8, 8, 7
			r.Words = "queue depth 210 is below the lower bound 400: one replica fewer, maxScaleDownStep"
			r.Depth, r.LowerBound, r.UpperBound, r.InFlight = ptr[int64](210), ptr[int64](400), ptr[int64](1200), ptr[int64](80)
		}),
		with(well("clicks"), func(r *protocol.Row) {
			r.Namespace, r.Reason, r.AtLeast, r.Depth = "web", "DepthUncertain", true, ptr[int64](12480)
			r.Words = "queue depth is at least 12480: only a lower bound, so the fleet does not shrink"
			r.Replicas, r.Ready, r.Desired, r.LowerBound, r.UpperBound, r.Rate = 14, 14, 14, ptr[int64](7000), ptr[int64](21000), ptr[int64](1840)
			r.Oldest = nil
		}),
		with(well("thumbnails"), func(r *protocol.Row) {
			r.Namespace, r.Paused = "web", true
			r.Words = "paused: the number of replicas stays at 4"
			r.Replicas, r.Ready, r.Desired = 4, 4, 4
		}),
		with(well("reports"), func(r *protocol.Row) {
			r.Namespace, r.Reason, r.Min, r.Replicas, r.Ready, r.Desired = "crm", "Idle", 0, 0, 0, 0
			r.Words = "no replicas, and the depth 0 is not above activationQueueDepth 0"
			r.Depth, r.Waiting, r.InFlight, r.LowerBound, r.UpperBound, r.Rate, r.Oldest = ptr[int64](0), ptr[int64](0), ptr[int64](0), ptr[int64](0), ptr[int64](0), ptr[int64](0), nil
		}),
		with(well("audit"), func(r *protocol.Row) {
			r.Namespace, r.Reason, r.Replicas, r.Ready, r.Desired = "crm", "Cooldown", 2, 2, 2
			r.Words = "queue depth 340 is above the upper bound 300, but the last scaling was 12 s ago: cooldownPeriod is 60 s"
			r.Depth, r.LowerBound, r.UpperBound = ptr[int64](340), ptr[int64](100), ptr[int64](300)
		}),
	}
	for i := range rows {
		rows[i].Key = rows[i].Namespace + "/" + rows[i].Name
		rows[i].Points = past(rows[i], now, i)
	}
	return rows
}

// past is a history that ends with what is so, another one for each seed.
func past(row protocol.Row, now time.Time, seed int) []protocol.Point {
	if row.Depth == nil {
		return nil
	}
	points := make([]protocol.Point, 120)
	for i := range points {
		swing := 1 + 0.45*math.Sin(float64(i)/(7+float64(seed)))*float64(len(points)-1-i)/float64(len(points))
		points[i] = protocol.Point{
			Time: now.Add(time.Duration(i-len(points)) * 5 * time.Second), Depth: ptr(int64(float64(*row.Depth) * swing)),
			Replicas: row.Replicas, Ready: row.Ready, Desired: row.Desired, LowerBound: row.LowerBound, UpperBound: row.UpperBound,
		}
	}
	return points
}

// flash is the channel orders after a flash sale: three scalings up, the fourth about to come.
func flash() protocol.Channel {
	now := time.Now()
	row := fleet()[2]
	row.Points = nil
	channel := protocol.Channel{
		Key: row.Key, Row: &row,
		Decision: &protocol.Decision{
			Action: "ScaleUp", Reason: "AboveUpperBound", Words: row.Words, Arithmetic: "upper bound = 100 × 3 × 150 % = 450\ndesired     = ceil(100 × 640 ÷ (100 × 150)) = 5",
			Replicas: 3, Desired: 5, Depth: 640, Waiting: 610, InFlight: ptr[int64](30), LowerBound: 150, UpperBound: 450,
			Cooldown: 60, CooledDown: ptr(now.Add(-20 * time.Second)), LastScale: ptr(now.Add(-80 * time.Second)), Active: true, Policy: "Threshold", Time: now,
		},
		Conditions: []protocol.Condition{
			{Type: "Ready", Status: "True", Good: true, Reason: "WorkersReady", Message: "3 of 3 workers are ready", Since: now.Add(-2 * time.Hour)},
			{Type: "Connected", Status: "True", Good: true, Reason: "Connected", Since: now.Add(-26 * time.Hour)},
			{Type: "ScalingLimited", Status: "False", Good: true, Reason: "WithinLimits", Since: now.Add(-26 * time.Hour)},
		},
		ScaledObject: []protocol.Condition{{Type: "Active", Status: "True", Good: true, Reason: "ScalerActive", Message: "Scaling is performed because triggers are active"}},
		Workers: []protocol.Worker{
			{Name: "orders-7c9d5b7f6d-2xk4q", State: "Ready", Node: "node-a", Since: now.Add(-2 * time.Hour)},
			{Name: "orders-7c9d5b7f6d-8m2wz", State: "Ready", Node: "node-b", Since: now.Add(-5 * time.Minute)},
			{Name: "orders-7c9d5b7f6d-q7n5t", State: "Starting", Message: "pulling the image", Node: "node-a", Since: now.Add(-8 * time.Second)},
		},
		Events: []protocol.Event{
			{Time: now.Add(-80 * time.Second), Type: "Normal", Reason: "ScaledUp", Message: "2 → 3 replicas: queue depth 410 is above the upper bound 300", Count: 1},
			{Time: now.Add(-9 * time.Minute), Type: "Warning", Reason: "QueueUnreadable", Message: "the server at dragonfly.shop:6379 didn't answer within 500ms", Count: 3},
		},
		Settings: []protocol.Setting{
			{Name: "policy", Value: "Threshold", From: "default"},
			{Name: "targetQueueDepth", Value: "100", From: "spec"},
			{Name: "scaleUpThreshold", Value: "150 %", From: "default"},
			{Name: "scaleDownThreshold", Value: "50 %", From: "default"},
			{Name: "cooldownPeriod", Value: "60 s", From: "spec"},
			{Name: "minReplicas", Value: "1", From: "default"},
			{Name: "maxReplicas", Value: "20", From: "spec"},
		},
	}
	replicas := int32(1)
	for i := range 180 { // a quarter of an hour, each 5 s
		at := now.Add(time.Duration(i-180) * 5 * time.Second)
		switch i {
		case 100, 130, 164:
			from := replicas
			if i != 100 {
				replicas++
			}
			if from != replicas {
				channel.Marks = append(channel.Marks, protocol.Mark{Time: at, Kind: "scaling", From: from, To: replicas, Until: ptr(at.Add(time.Minute)),
					Words: fmt.Sprintf("the queue depth is above the upper bound %d: %d → %d replicas", 150*from, from, replicas)})
			} else {
				channel.Marks = append(channel.Marks, protocol.Mark{Time: at, Kind: "decision", From: from, To: from, Words: "Hold, WithinBand: the depth came back into the band"})
			}
		}
		depth := 90 + 30*math.Sin(float64(i)/6)
		if i > 115 {
			depth += float64(i-115) * 7.6
		}
		if i > 135 && i < 168 {
			depth -= float64(i-135) * 5
		}
		ready := replicas
		if i >= 164 && i < 170 || i >= 130 && i < 136 {
			ready--
		}
		channel.Points = append(channel.Points, protocol.Point{
			Time: at, Depth: ptr(int64(max(0, depth))), Replicas: replicas, Ready: ready, Desired: replicas,
			LowerBound: ptr(int64(50 * replicas)), UpperBound: ptr(int64(150 * replicas)),
		})
	}
	channel.Points = append(channel.Points, protocol.Point{Time: now, Depth: ptr[int64](640), Replicas: 3, Ready: 3, Desired: 5, LowerBound: ptr[int64](150), UpperBound: ptr[int64](450)})
	return channel
}

// whatif answers with the decision of targetQueueDepth and depth that are asked for.
func whatif(request protocol.Request) protocol.Answer {
	target, depth, replicas := int64(100), int64(640), int32(3)
	if value, is := request.WhatIf.Changes["targetQueueDepth"].(float64); is {
		target = int64(value)
	}
	if request.WhatIf.Depth != nil {
		depth = *request.WhatIf.Depth
	}
	if request.WhatIf.Replicas != nil {
		replicas = *request.WhatIf.Replicas
	}
	lower, upper := target*int64(replicas)/2, target*int64(replicas)*3/2
	decision := protocol.Decision{Action: "Hold", Reason: "WithinBand", Replicas: replicas, Desired: replicas, Depth: depth, Waiting: depth,
		LowerBound: lower, UpperBound: upper, Cooldown: 60, Policy: "Threshold", Time: time.Now(),
		Words: fmt.Sprintf("queue depth %d is between the bounds %d and %d", depth, lower, upper)}
	if depth > upper {
		decision.Action, decision.Reason, decision.Desired = "ScaleUp", "AboveUpperBound", int32((2*depth+3*target-1)/(3*target))
		decision.Words = fmt.Sprintf("queue depth %d is above the upper bound %d", depth, upper)
		decision.Arithmetic = fmt.Sprintf("upper bound = %d × %d × 150 %% = %d\ndesired     = ceil(100 × %d ÷ (%d × 150)) = %d", target, replicas, upper, depth, target, decision.Desired)
	}
	return protocol.Answer{Decision: &decision}
}

// replay answers with three curves.
func replay(protocol.Request) protocol.Answer {
	curve := func(name string, replicas int32, wait float64) protocol.Curve {
		c := protocol.Curve{Name: name, P99Wait: ptr(wait), ReplicaHours: float64(replicas) * 0.22, Scalings: int(replicas), MaxReplicas: replicas + 1}
		for i := range 180 {
			n := min(replicas+1, 1+int32(max(0, i-90)/(60/int(replicas)+1)))
			c.Replicas = append(c.Replicas, n)
			c.Depth = append(c.Depth, max(0, 90+30*math.Sin(float64(i)/6)+float64(max(0, i-100))*7.5/float64(replicas)))
		}
		return c
	}
	return protocol.Answer{Replay: &protocol.Replay{
		Start: time.Now().Add(-15 * time.Minute), Step: 5,
		Assumed: []string{"A worker handles 14.2 messages per second: the median of 31 spans in which the depth fell.", "A new worker is ready after 9 s: measured at 2 scalings.", "Arrivals between two statuses were even."},
		Curves:  []protocol.Curve{curve("recorded", 2, 41), curve("now", 2, 38.4), curve("changed", 4, 11.2)},
	}}
}
