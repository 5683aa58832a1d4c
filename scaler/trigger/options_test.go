package trigger

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What Celery's documents give as an example is read, and what can't be a list of priorities is refused.
func TestPrioritySteps(t *testing.T) {
	parse := func(steps string) (Trigger, error) {
		return Parse(map[string]string{KeyChannelName: "celery", KeyPreset: "Celery", KeyPrioritySteps: steps})
	}
	got, err := parse("0, 1,2,3,4,5,6,7,8,9")
	require.NoError(t, err)
	assert.Equal(t, []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, got.Queue.PrioritySteps)
	assert.Equal(t, "0,1,2,3,4,5,6,7,8,9", got.Metadata()[KeyPrioritySteps])
	for _, wrong := range []string{"9,6,3,0", "0,3,3", "-1,0", "0,256", "0,,3", "range(10)", "[0,3]", "0,1.5"} {
		_, err := parse(wrong)
		require.ErrorContains(t, err, fmt.Sprintf("prioritySteps is %q: it must be whole numbers from 0 to 255 in rising order, for example 0,3,6,9", wrong))
	}
	var many []string
	for step := range maxPrioritySteps + 1 {
		many = append(many, fmt.Sprint(step))
	}
	_, err = parse(strings.Join(many, ","))
	require.ErrorContains(t, err, "it must name 32 priorities at most")
	_, err = parse(strings.Join(many[1:], ","))
	require.NoError(t, err)
	one, other := Queue{PrioritySteps: []int32{0, 1}}, Queue{PrioritySteps: []int32{0, 2}}
	assert.False(t, one.Equal(other))
	assert.False(t, one.Equal(Queue{PrioritySteps: []int32{0, 1}, PrioritySeparator: ":"}))
	assert.False(t, one.Equal(Queue{PrioritySteps: []int32{0, 1}, InFlight: InFlightNone}))
	assert.False(t, one.Equal(Queue{PrioritySteps: []int32{0, 1}, Scheduled: ScheduledIgnore}))
	assert.True(t, one.Equal(Queue{PrioritySteps: []int32{0, 1}}))
}
