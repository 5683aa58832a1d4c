package model

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
)

// Run starts a scaler, checks it and stops it. Change may alter the configuration.
func Run(ctx context.Context, s *Scaler, keda func(contract.Trigger) (contract.KEDA, error), change func(*contract.Config)) ([]contract.Result, error) {
	address, stop, err := s.Start()
	if err != nil {
		return nil, err
	}
	defer stop()
	config := contract.Config{
		Address: address, Name: "orders", Namespace: "shop",
		Metadata:    map[string]string{"queue": "orders", "backend": "up"},
		DeadBackend: map[string]string{"backend": "down"},
		Broken:      []contract.KeyValue{{Key: "queue", Value: ""}, {Key: "qeue", Value: "orders"}},
		Limits:      Limits(),
		KEDA:        keda,
		// GracefulStop waits for the streams, and the check for their ends.
		Shutdown: func(context.Context) error { go s.Shutdown(s); return nil },
	}
	if s.TLS != nil {
		config.TLS = Certificates().Client()
	}
	if change != nil {
		change(&config)
	}
	return contract.Run(ctx, config, func(contract.Check) bool { return true }, func(contract.Result) {})
}

// Judged is how a scaler fared.
type Judged struct {
	Results []contract.Result
	Err     error
}

// RunAll makes runs, many at a time: most of a run is waiting. Those named first start first.
func RunAll(runs map[string]func() ([]contract.Result, error), first ...string) map[string]Judged {
	const atOnce = 12
	judged, free := map[string]Judged{}, make(chan struct{}, atOnce)
	var mu sync.Mutex
	var running sync.WaitGroup
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(runs)), func(name string) bool { return slices.Contains(first, name) })
	for _, name := range slices.Concat(first, rest) {
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			results, err := runs[name]()
			mu.Lock()
			defer mu.Unlock()
			judged[name] = Judged{results, err}
		})
	}
	running.Wait()
	return judged
}

// RunFaults checks every faulty scaler.
func RunFaults(ctx context.Context, keda func(contract.Trigger) (contract.KEDA, error)) map[string]Judged {
	runs := map[string]func() ([]contract.Result, error){}
	for name, fault := range Faults() {
		runs[name] = func() ([]contract.Result, error) {
			s := New()
			fault.Break(s)
			return Run(ctx, s, keda, nil)
		}
	}
	judged := RunAll(runs, slowFaults...)
	JudgeAgain(judged, runs, func(name string) []string { return []string{Faults()[name].Fails} })
	return judged
}

// JudgeAgain repeats each run in which other checks failed than wanted, alone and up to three times: the limits are of about a
// second, and a busy machine may stand still for as long.
func JudgeAgain(judged map[string]Judged, runs map[string]func() ([]contract.Result, error), wanted func(name string) []string) {
	const repeats = 3
	for _, name := range slices.Sorted(maps.Keys(runs)) {
		for range repeats {
			var failed []string
			for _, r := range judged[name].Results {
				if r.Status == contract.Fail {
					failed = append(failed, r.Name)
				}
			}
			if judged[name].Err == nil && slices.Equal(failed, wanted(name)) {
				break
			}
			results, err := runs[name]()
			judged[name] = Judged{results, err}
		}
	}
}
