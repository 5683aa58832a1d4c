package demo

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// at builds a sample of a fleet without trouble.
func at(second int, depth int64, wanted, ready int32) sample {
	return sample{
		at: time.Duration(second) * time.Second, depth: depth, wanted: wanted, existing: max(wanted, ready), ready: ready,
		phase: "Running", reason: "WithinBand", words: "holding",
	}
}

func done(s sample) sample {
	s.publisherState = published
	return s
}

// burst is a story after its burst, which began at second 6.
func burst() *story {
	s := newStory()
	for second := range 7 {
		s.observe(at(second, 0, 1, 1))
	}
	s.publish(6 * time.Second)
	return s
}

func TestStoryWithAGoodEnd(t *testing.T) {
	s := newStory()
	for second := range 6 {
		if s.readyForBurst() {
			t.Fatalf("ready for the burst after %d s", second)
		}
		s.observe(at(second, 0, 1, 1))
	}
	if !s.readyForBurst() {
		t.Fatal("not ready for the burst after 5 s of rest")
	}
	s.publish(6 * time.Second)
	if s.readyForBurst() {
		t.Fatal("ready for a second burst")
	}
	for i, now := range []sample{
		at(7, 900, 1, 1), done(at(8, 1190, 1, 1)), done(at(20, 1170, 4, 1)), done(at(25, 1100, 4, 4)), done(at(35, 1000, 7, 7)),
		done(at(60, 0, 7, 7)), done(at(75, 0, 6, 7)), done(at(90, 0, 1, 2)),
	} {
		s.observe(now)
		if s.done() {
			t.Fatalf("done at sample %d", i)
		}
		if err := s.failure(); err != nil {
			t.Fatalf("sample %d: %v", i, err)
		}
	}
	s.observe(done(at(95, 0, 1, 1)))
	if !s.done() {
		t.Fatal("not done")
	}
	for _, want := range []string{
		"from 1 up to 7 and back to 1", "1190 messages", "7 wanted, 7 ready",
		"first scale-up      14 s", "queue empty         54 s", "scalings            4,", "from burst to rest  89 s",
	} {
		if !strings.Contains(s.summary(), want) {
			t.Errorf("%q is missing in:\n%s", want, s.summary())
		}
	}
}

func TestStoryIsNotDoneWhile(t *testing.T) {
	rose := done(at(20, 100, 4, 4))
	for name, last := range map[string]sample{
		"messages are left":          done(at(30, 1, 1, 1)),
		"the depth is unknown":       func() sample { s := done(at(30, 0, 1, 1)); s.depthUnknown = errors.New("gone"); return s }(),
		"the burst is on its way":    at(30, 0, 1, 1),
		"replicas are wanted":        done(at(30, 0, 2, 1)),
		"a worker is yet to end":     func() sample { s := done(at(30, 0, 1, 1)); s.existing = 2; return s }(),
		"the channel is behind":      func() sample { s := done(at(30, 0, 1, 1)); s.phase = "Scaling"; return s }(),
		"the only worker is not up":  done(at(30, 0, 1, 0)),
		"more than one worker is up": done(at(30, 0, 1, 2)),
	} {
		t.Run(name, func(t *testing.T) {
			s := burst()
			s.observe(rose)
			s.observe(last)
			if s.done() {
				t.Error("done")
			}
		})
	}
	t.Run("the replicas never rose", func(t *testing.T) {
		s := burst()
		s.observe(done(at(20, 100, 1, 1)))
		s.observe(done(at(30, 0, 1, 1)))
		if s.done() {
			t.Error("done")
		}
	})
}

func TestBurstWaitsWhile(t *testing.T) {
	for name, change := range map[string]func(*sample){
		"an earlier run's replicas are there": func(s *sample) { s.wanted, s.ready, s.existing = 3, 3, 3 },
		"the queue holds messages":            func(s *sample) { s.depth = 1 },
		"the queue can't be read":             func(s *sample) { s.depthUnknown = errors.New("gone") },
		"the channel is not ready":            func(s *sample) { s.notReady = "Progressing: 0 of 1 workers are ready" },
		"the channel has no status":           func(s *sample) { s.phase = "" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			for second := range 20 {
				now := at(second, 0, 1, 1)
				if second != 17 {
					change(&now)
				}
				s.observe(now)
				if s.readyForBurst() {
					t.Fatalf("ready at second %d", second)
				}
			}
		})
	}
}

func TestFailure(t *testing.T) {
	failed := func(second int) sample {
		s := at(second, 0, 0, 0)
		s.phase, s.notReady = "Failed", "KEDANotReady: KEDA says no"
		return s
	}
	blind := func(second int) sample {
		s := done(at(second, 0, 4, 4))
		s.depthUnknown = errors.New("connection refused")
		return s
	}
	down := func(second int) sample {
		s := done(at(second, 5, 4, 0))
		s.troubles = "pod orders-1: ErrImagePull"
		return s
	}
	consumed := func(second int) sample {
		s := done(at(second, 0, 1, 1))
		s.reason, s.words = "WithinBand", "holding at 1"
		return s
	}
	for name, test := range map[string]struct {
		story  *story
		of     func(second int) sample
		wanted string
	}{
		"the channel has failed":  {newStory(), failed, "KEDA says no"},
		"the server is gone":      {burst(), blind, "connection refused"},
		"no worker starts":        {newStory(), down, "pod orders-1: ErrImagePull"},
		"the replicas never rose": {burst(), consumed, "never rose above 1; the scaler's last words: WithinBand: holding at 1"},
	} {
		t.Run(name, func(t *testing.T) {
			for second := 10; second < 10+int(patience.Seconds()); second++ {
				test.story.observe(test.of(second))
				if err := test.story.failure(); err != nil {
					t.Fatalf("second %d: %v", second, err)
				}
			}
			test.story.observe(test.of(10 + int(patience.Seconds())))
			if err := test.story.failure(); err == nil || !strings.Contains(err.Error(), test.wanted) {
				t.Errorf("got %v, want %q", err, test.wanted)
			}
		})
	}
}

func TestLate(t *testing.T) {
	notReady := at(1, 0, 0, 0)
	notReady.notReady = "DeploymentFailed: no quota"
	blind := at(1, 0, 1, 1)
	blind.depthUnknown = errors.New("connection refused")
	for name, test := range map[string]struct {
		story *story
		last  sample
		want  string
	}{
		"no burst, not ready":   {newStory(), notReady, "did not become ready: DeploymentFailed: no quota"},
		"no burst, not at rest": {newStory(), at(1, 0, 3, 3), "did not come to rest at 1 worker: depth 0, replicas 3 ready, 3 existing, 3 wanted; the scaler says WithinBand: holding"},
		"blind":                 {burst(), blind, "connection refused"},
		"publisher":             {burst(), at(20, 5, 1, 1), "Job orders-burst"},
		"never rose":            {burst(), done(at(20, 500, 1, 1)), "never rose above 1"},
		"not worked off":        {burst(), done(at(20, 500, 4, 4)), "not worked off: depth 500"},
		"did not come back":     {burst(), done(at(20, 0, 4, 4)), "did not come back to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			test.story.observe(test.last)
			if err := test.story.late(); !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want %q", err, test.want)
			}
		})
	}
	if err := newStory().late(); !strings.Contains(err.Error(), "could not be read") {
		t.Error(err)
	}
}

func TestStage(t *testing.T) {
	publishingNow := at(7, 10, 1, 1)
	publishingNow.publisherState = publishing
	ending := done(at(30, 0, 2, 2))
	ending.existing = 3
	for name, test := range map[string]struct {
		last sample
		want string
	}{
		"publishing":     {publishingNow, "publishing 1200 messages"},
		"before the HPA": {done(at(8, 1000, 1, 1)), "the HPA looks every 15 s"},
		"starting":       {done(at(20, 1000, 4, 1)), "workers are starting"},
		"working":        {done(at(25, 1000, 4, 4)), "working the queue off"},
		"ending":         {ending, "finish what they hold"},
	} {
		t.Run(name, func(t *testing.T) {
			s := burst()
			if name == "ending" {
				s.observe(done(at(25, 10, 4, 4)))
			}
			s.observe(test.last)
			if got := s.stage(); !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
