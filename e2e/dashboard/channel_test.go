package dashboardtest

import (
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// A channel opens by its address, tells all its parts, and follows what changes.
func TestChannel(t *testing.T) {
	s := newServer(t, fleet()...)
	orders := flash()
	orders.Forbidden = map[string]string{"scaledObject": "you may not get scaledobjects in shop: ask for the role view"}
	s.channels["shop/orders"] = orders
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900)
	p.untilText(".p-decision", "Scale up, 3 → 5 replicas")
	assert.Equal(t, "(1) shop/orders · pubsub", value[string](p, "document.title"))
	for part, words := range map[string][]string{
		".title":         {"shop/orders", "Scaling"},
		".figures-bar":   {"640", "3 → 5 / 20", "212/s"},
		".p-decision":    {"upper bound = 100 × 3 × 150 % = 450", "610 waiting, 30 in flight", "150 to 450", "60s, over"},
		".p-conditions":  {"ReadyTrue", "3 of 3 workers are ready", "ask for the role view"},
		".p-workers":     {"Starting orders-7c9d5b7f6d-q7n5t", "pulling the image", "on node-b"},
		".p-events":      {"QueueUnreadable ×3", "2 → 3 replicas"},
		".p-settings":    {"targetQueueDepth100spec", "scaleUpThreshold150 %default"},
		".p-decisions":   {"2 → 3", "1 → 2", "Hold, WithinBand"},
		".plots .legend": {"Depth 640", "Upper bound 450", "Lower bound 150"},
	} {
		for _, w := range words {
			if w == "ReadyTrue" {
				w = "Ready True"
			}
			assert.Contains(t, p.text(part), w, part)
		}
	}
	assert.Contains(t, value[string](p, `document.querySelector(".plots").ariaLabel`), "depth 640, band 150 to 450, 3 replicas")
	p.click(".numbers summary")
	p.until(`document.querySelectorAll(".numbers tbody tr").length === 30`)
	assert.Contains(t, p.text(".numbers tbody tr"), "640150450335", "the same as numbers")

	// Decisions are told by keyboard, and by the mouse.
	p.do(chromedp.Focus(chromedp.CSS(".plots")))
	p.press(left)
	p.untilText(".tip", "300: 2 → 3 replicas")
	assert.Contains(t, p.text(".unseen"), "300: 2 → 3 replicas", "it is read out")
	p.press(left)
	p.press(left)
	p.untilText(".tip", "the depth came back into the band")
	p.press(escape)
	p.until(`document.querySelector(".tip").hidden`)
	require.True(t, value[bool](p, `Boolean(document.querySelector(".channel"))`), "the first Escape is the chart's")
	p.do(script(`document.querySelector(".plots").scrollIntoView({ block: "center" })`))
	at := value[[]float64](p, `(() => { const over = document.querySelector(".u-over").getBoundingClientRect(); return [over.left + over.width * 164.5 / 181, over.top + 60]; })()`)
	p.do(chromedp.MouseEvent("mouseMoved", at[0], at[1]))
	p.untilText(".tip", "300: 2 → 3 replicas")
	p.click(".p-decisions li:nth-child(2) button")
	p.untilText(".tip", "150: 1 → 2 replicas")

	// It changes.
	decision := *orders.Decision
	decision.Action, decision.Replicas, decision.Reason = "Hold", 5, "Cooldown"
	row := *orders.Row
	row.Replicas, row.Depth = 5, ptr[int64](700)
	s.push(t, protocol.Envelope{Kind: protocol.KindChannel, Channel: &protocol.Channel{
		Key: "shop/orders", Row: &row, Decision: &decision, Workers: []protocol.Worker{}, Events: []protocol.Event{}, Forbidden: map[string]string{},
		Points: []protocol.Point{{Time: time.Now(), Depth: ptr[int64](700), Replicas: 5, Ready: 3, Desired: 5, LowerBound: ptr[int64](250), UpperBound: ptr[int64](750)}},
		Marks:  []protocol.Mark{{Time: time.Now(), Kind: "scaling", From: 3, To: 5, Words: "3 → 5 replicas, at last", Until: ptr(time.Now().Add(time.Minute))}},
	}})
	p.untilText(".p-decision", "Hold at 5 replicas")
	p.untilText(".p-decisions", "3 → 5 replicas, at last")
	p.untilText(".p-workers", "There is no worker")
	p.untilText(".p-events", "There is no event")
	p.untilText(".p-conditions", "Active True · ScalerActive Scaling is performed") // without an age, which KEDA doesn't tell
	p.until(`document.querySelector(".plots").ariaLabel.includes("depth 700, band 250 to 750, 5 replicas")`)
	assert.Contains(t, p.text(".p-settings"), "targetQueueDepth100", "what isn't mentioned is as before")
	s.push(t, protocol.Envelope{Kind: protocol.KindChannel, Channel: &protocol.Channel{Key: "shop/orders", Gone: true}})
	p.untilText(".notice", "This channel was deleted, or you may not read it any more")

	p.press(escape)
	p.until(`document.querySelector(".fleet")`)
	require.Eventually(t, func() bool { return len(s.asked(protocol.KindClose)) == 1 }, patience, 20*time.Millisecond, "the server need not follow it any more")
}

// A channel that isn't there is told, with the server's words.
func TestNoSuchChannel(t *testing.T) {
	p := open(t, newServer(t).URL+"/#/channel/shop/typo", 1280, 700)
	p.untilText(".notice", "there is no channel shop/typo")
}

// A channel whose address was open before the server knew of it, is opened once it does.
func TestAChannelThatComesLater(t *testing.T) {
	s := newServer(t)
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 700)
	p.untilText(".notice", "there is no channel shop/orders")
	s.mu.Lock()
	s.channels["shop/orders"] = flash()
	s.mu.Unlock()
	s.change(t, fleet()[2])
	p.untilText(".p-decision", "Scale up, 3 → 5 replicas")
	p.until(`document.querySelector(".notice").hidden`)
}

// What the server has not read yet isn't told as nothing.
func TestWhatIsNotReadYet(t *testing.T) {
	s := newServer(t, fleet()...)
	orders := flash()
	orders.Workers, orders.Events = nil, nil
	s.channels["shop/orders"] = orders
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900)
	p.untilText(".p-decision", "Scale up, 3 → 5 replicas")
	assert.Contains(t, p.text(".p-workers"), "Waiting for the server")
	assert.Contains(t, p.text(".p-events"), "Waiting for the server")
	s.push(t, protocol.Envelope{Kind: protocol.KindChannel, Channel: &protocol.Channel{Key: "shop/orders", Workers: []protocol.Worker{}, Events: []protocol.Event{}}})
	p.untilText(".p-workers", "There is no worker")
	p.untilText(".p-events", "There is no event")
}

// Sliders ask the policy; only what differs from what is so is asked, and one question at a time.
func TestWhatIf(t *testing.T) {
	s := newServer(t, fleet()...)
	s.channels["shop/orders"] = flash()
	s.answers[protocol.KindWhatIf] = whatif
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900)
	p.untilText(".p-settings", "maxReplicas")
	p.until(`document.querySelector("#knob-targetQueueDepth").value === "100"`)
	assert.Equal(t, "640", value[string](p, `document.querySelector("#knob-depth").value`))
	assert.Equal(t, "150 %", value[string](p, `document.querySelector("#knob-scaleUpThreshold").getAttribute("aria-valuetext")`))
	p.turn("#knob-targetQueueDepth", 300)
	p.untilText(".answer", "Hold at 3 replicas")
	p.untilText(".answer", "between the bounds 450 and 1350")
	assert.Equal(t, "640 messages, within the band from 450 to 1,350", value[string](p, `document.querySelector(".answer .band").ariaLabel`))
	p.turn("#knob-depth", 3000)
	p.untilText(".answer", "Scale up, 3 → 7 replicas")
	asked := s.asked(protocol.KindWhatIf)
	last := asked[len(asked)-1]
	assert.Equal(t, "shop/orders", last.Key)
	assert.Equal(t, &protocol.WhatIfRequest{Depth: ptr[int64](3000), Changes: protocol.Changes{"targetQueueDepth": 300.0}}, last.WhatIf)

	s.mu.Lock()
	s.answers[protocol.KindWhatIf] = func(protocol.Request) protocol.Answer {
		return protocol.Answer{Error: "spec.autoScaling.maxReplicas is 1, below minReplicas 5: raise it"}
	}
	s.mu.Unlock()
	p.turn("#knob-minReplicas", 5)
	p.untilText(".answer .problem", "below minReplicas 5: raise it")
	p.do(chromedp.Focus(chromedp.CSS("#knob-depth")))
	p.press(escape) // takes back this field alone, and does not leave
	p.until(`document.querySelector("#knob-depth").value === "640"`)
	assert.Equal(t, "300", value[string](p, `document.querySelector("#knob-targetQueueDepth").value`))
	p.click(".whatif header button")
	p.untilText(".answer", "Move a slider")
	assert.Equal(t, "100", value[string](p, `document.querySelector("#knob-targetQueueDepth").value`))
}

// The recorded window is replayed with the changed settings, and says what was assumed.
func TestReplay(t *testing.T) {
	s := newServer(t, fleet()...)
	s.channels["shop/orders"] = flash()
	s.answers[protocol.KindWhatIf], s.answers[protocol.KindReplay] = whatif, replay
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900)
	p.untilText(".p-settings", "maxReplicas")
	p.turn("#knob-cooldownPeriod", 15)
	p.do(script(`document.querySelector("#replay-window").value = "900"`))
	p.click(".replay .primary")
	p.untilText(".figures", "Simulated, with the changes")
	assert.Equal(t, []string{"Wait, p99Replica-hoursScalingsMost replicas", "What happened41s0.4423", "Simulated, as set now38s0.4423", "Simulated, with the changes11s0.8845"},
		value[[]string](p, `[...document.querySelectorAll(".figures tr")].map((row) => row.textContent)`))
	assert.Contains(t, p.text(".assumed"), "A worker handles 14.2 messages per second")
	assert.Equal(t, 2, value[int](p, `document.querySelectorAll(".replayed canvas").length`))
	asked := s.asked(protocol.KindReplay)
	require.Len(t, asked, 1)
	assert.Equal(t, &protocol.ReplayRequest{Seconds: 900, Changes: protocol.Changes{"cooldownPeriod": 15.0}}, asked[0].Replay)

	// A worker's speed that the record leaves open is shown as two curves of each.
	s.mu.Lock()
	s.answers[protocol.KindReplay] = func(request protocol.Request) protocol.Answer {
		answer := replay(request)
		curves := answer.Replay.Curves
		fast := curves[1]
		curves[1].Speed, fast.Speed = ptr(2.1234), ptr(8.49)
		answer.Replay.Curves = []protocol.Curve{curves[0], curves[1], fast}
		return answer
	}
	s.mu.Unlock()
	p.click(".replay .primary")
	p.untilText(".figures", "at 8.5/s per worker")
	for _, where := range []string{".figures th[scope=row]", ".replayed .legend .key"} {
		assert.Equal(t, []string{"What happened", "Simulated, as set now, at 2.1/s per worker", "Simulated, as set now, at 8.5/s per worker"},
			value[[]string](p, `[...document.querySelectorAll("`+where+`")].map((row) => row.textContent)`), where)
	}

	p.turn("#knob-cooldownPeriod", 30)
	p.untilText(".stale", "of other settings")
	p.turn("#knob-cooldownPeriod", 15)
	p.until(`document.querySelector(".stale").hidden`)

	s.mu.Lock()
	s.answers[protocol.KindReplay] = func(protocol.Request) protocol.Answer {
		return protocol.Answer{Error: "the window has 12 s: at least 60 s are needed, wait 48 s more"}
	}
	s.mu.Unlock()
	p.click(".replay .primary")
	p.untilText(".replayed .problem", "wait 48 s more")
	assert.Equal(t, 0, value[int](p, `document.querySelectorAll(".replayed canvas").length`), "an old answer isn't left beside the error")
}

// observing keeps which elements are observed for their size, as those of all charts are.
const observing = `
	window.observed = new Set();
	window.ResizeObserver = class extends ResizeObserver {
		mine = [];
		observe(target, ...how) { observed.add(target); this.mine.push(target); super.observe(target, ...how); }
		disconnect() { for (const target of this.mine) observed.delete(target); super.disconnect(); }
	};`

// Whoever leaves a channel leaves no chart behind, not even of a replay whose answer comes later: it would
// go on following the pointer and the colours.
func TestNoChartOutlivesItsChannel(t *testing.T) {
	s := newServer(t, fleet()...)
	s.channels["shop/orders"] = flash()
	late := make(chan struct{})
	s.answers[protocol.KindReplay] = func(request protocol.Request) protocol.Answer {
		<-late
		return replay(request)
	}
	watched := command(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: observing})
	p := open(t, s.URL+"/#/channel/shop/orders", 1280, 900, watched)
	p.untilText(".p-decision", "Scale up")
	p.until(`observed.size >= 2`)
	p.click(".replay .primary")
	p.untilText(".replay .primary", "Replaying…")
	p.do(script(`location.hash = "#/"`))
	p.until(`document.querySelector(".fleet")`)
	close(late)
	// What is asked now is answered after the replay.
	p.do(script(`location.hash = "#/channel/shop/orders"`))
	p.untilText(".p-decision", "Scale up")
	assert.Equal(t, 0, value[int](p, `document.querySelectorAll(".replayed canvas").length`), "the channel begins anew")
	assert.Empty(t, value[[]string](p, `[...observed].filter((e) => !e.isConnected && !e.matches(".table")).map((e) => e.className)`))
	p.press(escape)
	p.until(`document.querySelector(".fleet")`)
	assert.Empty(t, value[[]string](p, `[...observed].filter((e) => !e.isConnected).map((e) => e.className)`))
}
