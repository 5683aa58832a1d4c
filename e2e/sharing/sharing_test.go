package sharing_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/e2e/sharing"
)

const (
	engine sharing.Part = "engine"
	wheels sharing.Part = "wheels"
)

func needs(order int, parts ...sharing.Part) sharing.Claim {
	return sharing.Claim{Needs: parts, Order: order}
}

func disturbs(order int, part sharing.Part, needed ...sharing.Part) sharing.Claim {
	return sharing.Claim{Disturbs: []sharing.Part{part}, Needs: needed, Order: order}
}

// over is a context in which nobody waits: what it awaits is there, or is not.
func over(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// begun are those of the turns that have begun, by their places in the list.
func begun(turns ...*sharing.Turn) []int {
	at := []int{}
	for i, turn := range turns {
		if turn.Begun() {
			at = append(at, i)
		}
	}
	return at
}

func announce(c *sharing.Cluster, claims ...sharing.Claim) (turns []*sharing.Turn) {
	for _, claim := range claims {
		turns = append(turns, c.Announce(claim))
	}
	return turns
}

func TestNobodyBeginsBeforeAllAreKnown(t *testing.T) {
	turns := announce(sharing.NewCluster(1), needs(2, engine), needs(1, engine), needs(1, engine))
	assert.Empty(t, begun(turns...))
	require.NoError(t, turns[1].Await(t.Context()))
	assert.Equal(t, []int{1}, begun(turns...), "the lowest order, and of two the one that came first")
	turns[1].End()
	assert.Equal(t, []int{1, 2}, begun(turns...))
	turns[2].End()
	assert.Equal(t, []int{0, 1, 2}, begun(turns...))
}

func TestWhoMayBeBesideWhom(t *testing.T) {
	for name, test := range map[string]struct {
		one, other sharing.Claim
		beside     bool
	}{
		"two that need the same":                        {needs(0, engine), needs(0, engine), true},
		"one disturbs what the other needs":             {disturbs(0, engine), needs(0, engine), false},
		"one disturbs what the other does not need":     {disturbs(0, engine), needs(0, wheels), true},
		"both disturb the same":                         {disturbs(0, engine), disturbs(0, engine), false},
		"each disturbs what the other does not need":    {disturbs(0, engine), disturbs(0, wheels), true},
		"each disturbs a part, and one needs the other": {disturbs(0, engine, wheels), disturbs(0, wheels), false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, claims := range [][]sharing.Claim{{test.one, test.other}, {test.other, test.one}} {
				turns := announce(sharing.NewCluster(2), claims...)
				require.NoError(t, turns[0].Await(t.Context()))
				assert.Equal(t, test.beside, turns[1].Begun())
			}
		})
	}
}

func TestWhoDisturbsIsNotOvertakenByWhoWouldBeInItsWay(t *testing.T) {
	turns := announce(sharing.NewCluster(3), needs(0, engine), disturbs(1, engine), needs(2, engine), needs(2, wheels))
	require.NoError(t, turns[0].Await(t.Context()))
	assert.Equal(t, []int{0, 3}, begun(turns...))
	turns[0].End()
	assert.Equal(t, []int{0, 1, 3}, begun(turns...))
	turns[1].End()
	assert.Equal(t, []int{0, 1, 2, 3}, begun(turns...))
}

func TestWhoGivesUpIsInNobodysWay(t *testing.T) {
	turns := announce(sharing.NewCluster(2), needs(0, engine), disturbs(1, engine), needs(2, engine))
	require.NoError(t, turns[0].Await(t.Context()))
	err := turns[1].Await(over(t))
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "needs [], disturbs [engine]")
	assert.ErrorContains(t, err, "these had theirs: [needs [engine], disturbs []]")
	assert.Equal(t, []int{0, 2}, begun(turns...))
	turns[0].End()
	turns[0].End() // again, which is nothing
	turns[2].End()
}

func TestNobodyOfALaterOrderComesBetweenTwoTurnsOfOne(t *testing.T) {
	turns := announce(sharing.NewCluster(2), needs(0, engine), disturbs(2, engine))
	require.NoError(t, turns[0].Await(t.Context()))
	next := turns[0].Exchange(disturbs(1, engine))
	assert.Equal(t, []int{1}, begun(turns[1], next), "the one that is to be first, although it is new")
	next.End()
	assert.True(t, turns[1].Begun())
}

func TestPlacesAreLimited(t *testing.T) {
	turns := announce(sharing.NewCluster(2), needs(0), needs(0), needs(0), needs(0))
	require.NoError(t, turns[0].Await(t.Context()))
	assert.Equal(t, []int{0, 1}, begun(turns...))
	turns[1].End()
	assert.Equal(t, []int{0, 1, 2}, begun(turns...))
}
