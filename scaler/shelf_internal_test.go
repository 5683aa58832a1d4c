package scaler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// What nobody asks for is forgotten, and what is asked for is not.
func TestShelfForgets(t *testing.T) {
	var s shelf
	now := time.Unix(1_800_000_000, 0)
	version := target.Version{UID: "1", Generation: 1}
	stands := func() *standing { return &standing{version: version} }
	s.put(objectKey{"shop", "asked"}, stands(), now)
	s.put(objectKey{"shop", "deleted"}, stands(), now)
	for range 4 {
		now = now.Add(keepUnasked / 2)
		assert.NotNil(t, s.get(objectKey{"shop", "asked"}, version, now))
	}
	s.put(objectKey{"shop", "new"}, stands(), now)
	assert.Len(t, s.all, 2)
	assert.NotNil(t, s.get(objectKey{"shop", "asked"}, version, now))
	assert.Nil(t, s.get(objectKey{"shop", "asked"}, target.Version{UID: "1", Generation: 2}, now), "edited")
	assert.Nil(t, s.get(objectKey{"shop", "asked"}, target.Version{UID: "2", Generation: 1}, now), "made anew")
	s.remove(objectKey{"shop", "asked"})
	assert.Nil(t, s.get(objectKey{"shop", "asked"}, version, now))
}
