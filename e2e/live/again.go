package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/simulation/chart"
)

// Again predicts a run once more from what it wrote to its folder, with the simulation as it is
// now, and writes the prediction and the picture anew. What was measured stays.
func Again(folder string, log io.Writer) error {
	file := filepath.Join(folder, "result.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var result Result
	if err := json.Unmarshal(text, &result); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	s, err := newScenario(result.Trace, result.Scale)
	if err != nil {
		return err
	}
	messages, err := readColumns(filepath.Join(folder, "messages.csv"))
	if err != nil {
		return err
	}
	seconds, err := readColumns(filepath.Join(folder, "seconds.csv"))
	if err != nil {
		return err
	}
	autoscaler, known := simulation.ByName(result.Policy)
	if !known {
		return fmt.Errorf("%s: policy is %q, which the simulation does not have", file, result.Policy)
	}
	began := time.Unix(0, 0)
	var distinct []delivery
	for _, sent := range messages[1] {
		distinct = append(distinct, delivery{sent: began.Add(duration(sent))})
	}
	hpaSync := duration(result.HPASync)
	if result.Simulation, err = predict(s, result.Seed, autoscaler, conditions{
		arrivals: arrivalsOf(distinct, began), podStart: duration(result.PodStartSeconds),
		workers: service{Work: duration(result.WorkSeconds), Turnaround: duration(result.TurnaroundSeconds)},
		hpaSync: hpaSync, phase: phaseOf(result.Scalings, hpaSync), start: result.HPAFirstSaw,
	}); err != nil {
		return err
	}
	encoded, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	picture, err := chart.SVG(figure(s, result, series{depth: seconds[1], wanted: whole(seconds[2])}))
	if err != nil {
		return err
	}
	fmt.Fprint(log, result.table())
	return errors.Join(
		os.WriteFile(file, append(encoded, '\n'), 0o600),
		os.WriteFile(filepath.Join(folder, "picture.svg"), picture, 0o600),
	)
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

func whole(values []float64) []int32 {
	numbers := make([]int32, len(values))
	for i, v := range values {
		numbers[i] = int32(v)
	}
	return numbers
}
