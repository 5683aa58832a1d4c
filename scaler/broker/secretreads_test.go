package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// apiServer has Secrets, and counts who reads them. A read takes a while.
type apiServer struct {
	mu     sync.Mutex
	values map[string]string // by namespace/name; a Secret has one key
	reads  map[string]int
	takes  time.Duration
}

func newAPIServer(names ...string) *apiServer {
	s := &apiServer{values: map[string]string{}, reads: map[string]int{}, takes: 20 * time.Millisecond}
	for _, name := range names {
		s.values[name] = "first"
	}
	return s
}

func (s *apiServer) Secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	full := namespace + "/" + name
	s.reads[full]++
	value, ok := s.values[full]
	if !ok {
		return nil, errors.New("not found")
	}
	return map[string][]byte{"password": []byte(value)}, nil
}

func (s *apiServer) set(full, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[full] = value
}

// count is the reads of all Secrets since the last count.
func (s *apiServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := 0
	for _, n := range s.reads {
		all += n
	}
	clear(s.reads)
	return all
}

// readsIn runs a test in a bubble of fake time.
func readsIn(t *testing.T, source *apiServer, test func(t *testing.T, reads *secretReads)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		options := Options{Secrets: source}.WithDefaults()
		reads := newSecretReads(ctx, options, &running)
		test(t, reads)
		cancel()
		running.Wait()
	})
}

func pass(d time.Duration) { <-time.After(d) } // of the bubble

// everySecond has so many servers read a Secret that they refuse, each once a second.
func everySecond(t *testing.T, reads *secretReads, servers int, seconds int, until func(value string) bool) (took time.Duration) {
	t.Helper()
	began := time.Now()
	for second := range seconds {
		doubt := oldDoubt
		if second == 0 {
			doubt = newDoubt
		}
		var wait sync.WaitGroup
		var mu sync.Mutex
		done := false
		for range servers {
			wait.Go(func() {
				data, err := reads.read(t.Context(), secretName{"team-a", "auth"}, doubt)
				assert.NoError(t, err)
				mu.Lock()
				defer mu.Unlock()
				done = done || until(string(data["password"]))
			})
			pass(time.Second / time.Duration(servers))
		}
		wait.Wait()
		if done {
			break
		}
	}
	return time.Since(began)
}

func TestASecretThatServersRefuseIsReadLessAndLessOften(t *testing.T) {
	source := newAPIServer("team-a/auth")
	never := func(string) bool { return false }
	readsIn(t, source, func(t *testing.T, reads *secretReads) {
		everySecond(t, reads, 100, 60, never)
		assert.LessOrEqual(t, source.count(), 8, "after 1, 2, 4, 8, 16 and 30 seconds, not 100 times a second")
		everySecond(t, reads, 100, 1, never) // as if they had been trusted meanwhile
		source.count()
		everySecond(t, reads, 100, 300, never)
		assert.InDelta(t, 14, source.count(), 3)

		source.set("team-a/auth", "second")
		took := everySecond(t, reads, 100, 60, func(value string) bool { return value == "second" })
		assert.LessOrEqual(t, took, 2*time.Second, "a new refusal has it read at once")
		source.count()
		everySecond(t, reads, 100, 4, never)
		assert.GreaterOrEqual(t, source.count(), 2, "a new content is doubted anew")

		source.set("team-a/auth", "third")
		pass(30 * time.Second)
		data, err := reads.read(t.Context(), secretName{"team-a", "auth"}, noDoubt)
		require.NoError(t, err)
		assert.Equal(t, "third", string(data["password"]), "who does not doubt reads it")
	})
}

func TestTrustEndsTheWaiting(t *testing.T) {
	source := newAPIServer("team-a/auth")
	readsIn(t, source, func(t *testing.T, reads *secretReads) {
		everySecond(t, reads, 1, 60, func(string) bool { return false })
		reads.trust(Server{Namespace: "team-a", Password: Secret{Name: "auth"}})
		source.count()
		pass(time.Second)
		_, err := reads.read(t.Context(), secretName{"team-a", "auth"}, oldDoubt)
		require.NoError(t, err)
		assert.Equal(t, 1, source.count())
	})
}

func TestASecretThatManyWantIsReadOnce(t *testing.T) {
	source := newAPIServer("team-a/auth")
	readsIn(t, source, func(t *testing.T, reads *secretReads) {
		first, leave := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() {
			_, err := reads.read(first, secretName{"team-a", "auth"}, noDoubt)
			assert.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		leave() // the read goes on for the others
		for range 1000 {
			wait.Go(func() {
				data, err := reads.read(t.Context(), secretName{"team-a", "auth"}, noDoubt)
				assert.NoError(t, err)
				assert.Equal(t, "first", string(data["password"]))
			})
		}
		wait.Wait()
		pass(900 * time.Millisecond)
		_, err := reads.read(t.Context(), secretName{"team-a", "auth"}, noDoubt)
		require.NoError(t, err)
		assert.Equal(t, 1, source.count())
		pass(secretShare)
		_, err = reads.read(t.Context(), secretName{"team-a", "auth"}, noDoubt)
		require.NoError(t, err)
		assert.Equal(t, 1, source.count(), "and again later")
	})
}

func TestASecretThatIsNotThereIsAskedForSeldom(t *testing.T) {
	source := newAPIServer()
	readsIn(t, source, func(t *testing.T, reads *secretReads) {
		for range 600 {
			_, err := reads.read(t.Context(), secretName{"team-a", "auth"}, noDoubt)
			require.EqualError(t, err, "not found")
			pass(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, source.count(), 20, "of 600 in a minute")
		source.set("team-a/auth", "first")
		pass(secretFailureWait)
		_, err := reads.read(t.Context(), secretName{"team-a", "auth"}, noDoubt)
		assert.NoError(t, err)
	})
}

// A namespace with very many Secrets has no more than its share of the API server, and another
// does not wait for it.
func TestNamespacesAreLimited(t *testing.T) {
	source := newAPIServer("team-b/auth")
	for i := range 1000 {
		source.set(fmt.Sprint("team-a/auth-", i), "first")
	}
	readsIn(t, source, func(t *testing.T, reads *secretReads) {
		var wait sync.WaitGroup
		var mu sync.Mutex
		busy := 0
		for i := range 1000 {
			wait.Go(func() {
				_, err := reads.read(t.Context(), secretName{"team-a", fmt.Sprint("auth-", i)}, noDoubt)
				if err != nil {
					assert.ErrorIs(t, err, errSecretsBusy)
					mu.Lock()
					defer mu.Unlock()
					busy++
				}
			})
		}
		synctest.Wait()
		_, err := reads.read(t.Context(), secretName{"team-b", "auth"}, noDoubt)
		assert.NoError(t, err)
		wait.Wait()
		done := source.count() - 1
		assert.InDelta(t, secretBurst+secretRate*DefaultReadTimeout.Seconds(), done, 2)
		assert.Equal(t, 1000-done, busy, "the others are told so")
		began := time.Now()
		for i := range 1000 { // they come in by and by
			for {
				if _, err := reads.read(t.Context(), secretName{"team-a", fmt.Sprint("auth-", i)}, noDoubt); err == nil {
					break
				}
				pass(100 * time.Millisecond)
			}
		}
		assert.Greater(t, time.Since(began), 90*time.Second)
		pass(2 * time.Minute)
		_, err = reads.read(t.Context(), secretName{"team-b", "auth"}, noDoubt)
		require.NoError(t, err)
		assert.Len(t, reads.known, 1, "what nobody wants is forgotten")
		assert.LessOrEqual(t, len(reads.limits), 1)
	})
}
