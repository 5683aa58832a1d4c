package view

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
)

func someLetters(at time.Time) []Letter {
	return []Letter{
		{Key: "orders", Letter: deadletter.Letter{
			ID: "5f-1", Payload: "{\"order\": 1}\n\x1b[2J\xff", Reason: "the handler refuses the message: http://h answered 422", Time: at.Add(-5 * time.Minute), Deliveries: 1, Worker: "pod-1",
		}},
		{Key: "orders", Group: "g", Letter: deadletter.Letter{
			ID: "1-1", Fields: map[string]string{"payload": strings.Repeat("é", 100), "tenant": "t"}, Reason: "r", Time: at, Deliveries: 3, Worker: "pod-2",
		}},
	}
}

// Nothing that a message holds reaches the terminal as more than text.
func TestTableOfLetters(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	letters := someLetters(now)
	require.Equal(t, ""+
		"ID    AGE  DELIVERIES  WORKER  REASON                                                  PAYLOAD\n"+
		"5f-1  5m   1           pod-1   the handler refuses the message: http://h answered 422  {\"order\": 1} \uFFFD[2J\uFFFD\n"+
		"1-1   0s   3           pod-2   r"+strings.Repeat(" ", 55)+strings.Repeat("é", widest-1)+"…\n", Letters(letters, now))
	letters[1].Key = "events"
	require.True(t, strings.HasPrefix(Letters(letters, now), "KEY     ID "), Letters(letters, now))
}

// JSON has every byte.
func TestJSONOfLetters(t *testing.T) {
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	letters := append(someLetters(at), Letter{Key: "k", Group: "g", Letter: deadletter.Letter{ID: "2-1", Fields: map[string]string{"\xfe": "v"}, Time: at}},
		Letter{Key: "k", Letter: deadletter.Letter{ID: "e", Time: at}})
	data, err := json.Marshal(LettersJSON(letters))
	require.NoError(t, err)
	var got []map[string]any
	require.NoError(t, json.Unmarshal(data, &got))
	require.Equal(t, "eyJvcmRlciI6IDF9ChtbMkr/", got[0]["payloadBase64"])
	require.NotContains(t, got[0], "payload")
	require.Equal(t, "2026-11-26T08:55:00Z", got[0]["time"])
	require.Equal(t, map[string]any{"payload": strings.Repeat("é", 100), "tenant": "t"}, got[1]["fields"])
	require.Equal(t, "g", got[1]["group"])
	require.Equal(t, map[string]any{"/g==": "dg=="}, got[2]["fieldsBase64"])
	require.Empty(t, got[3]["payload"], "an empty message is one")
	require.Contains(t, got[3], "payload")
	none, err := json.Marshal(LettersJSON(nil))
	require.NoError(t, err)
	require.JSONEq(t, "[]", string(none))
}
