package scaler

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What KEDA no longer asks about is forgotten, also if nobody scrapes the metrics.
func TestAnswersAreForgottenWithoutAScrape(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	a := newAnswers(nil, func() time.Time { return now })
	a.targets = allThere{}
	for i := range 10_000 {
		now = now.Add(time.Second)
		a.mu.Lock()
		a.of(objectKey{"shop", fmt.Sprint("orders-", i)}).asked = now
		a.mu.Unlock()
	}
	assert.LessOrEqual(t, len(a.known), 4*int(answerIdle/time.Second))
}

type allThere struct{ Targets }
