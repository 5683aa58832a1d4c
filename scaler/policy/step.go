package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Step limits how many replicas one scaling may add or remove: a number, or a
// percentage of the current replicas. The zero Step sets no limit.
type Step struct {
	Value   int32
	Percent bool
}

// ParseStep reads "3", "20%", or "" (no limit). A number must be from 1 to 1,000,000, a
// percentage from 1% to 9999%.
func ParseStep(text string) (Step, error) {
	if text == "" {
		return Step{}, nil
	}
	digits, percent := strings.CutSuffix(text, "%")
	most := int64(MaxReplicasLimit)
	if percent {
		most = 9999
	}
	value, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || value < 1 || value > most {
		return Step{}, fmt.Errorf("%q is neither a number from 1 to %d nor a percentage from 1%% to 9999%%", text, MaxReplicasLimit)
	}
	return Step{Value: int32(value), Percent: percent}, nil
}

// String is the inverse of ParseStep.
func (s Step) String() string {
	switch {
	case s == Step{}:
		return ""
	case s.Percent:
		return strconv.Itoa(int(s.Value)) + "%"
	default:
		return strconv.Itoa(int(s.Value))
	}
}

// of is the limit at that many replicas: a percentage is rounded down, but is at least 1.
func (s Step) of(replicas int64) int64 {
	switch {
	case s == Step{}:
		return math.MaxInt32
	case s.Percent:
		return max(1, replicas*int64(s.Value)/100)
	default:
		return int64(s.Value)
	}
}
