package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func ask(t *testing.T, url string) (a account) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, json.NewDecoder(response.Body).Decode(&a))
	return a
}

// The account names what is missing, counts what came twice, and has nothing that was not finished.
func TestAccount(t *testing.T) {
	server := httptest.NewServer(newHandler())
	defer server.Close()
	post := func(path, payload string) int {
		response, err := http.Post(server.URL+path, "text/plain", strings.NewReader(payload))
		require.NoError(t, err)
		defer response.Body.Close()
		return response.StatusCode
	}
	for _, number := range []string{"1", "3", "3", "9"} {
		require.Equal(t, http.StatusOK, post("/list/0s", number))
	}
	require.Equal(t, account{Begun: 4, Messages: 2, Deliveries: 4, Missing: []int{2, 4}, Foreign: []int{9}}, ask(t, server.URL+"/list?total=4"))
	require.Equal(t, account{Missing: []int{1}}, ask(t, server.URL+"/stream?total=1"), "another queue's")
	require.Equal(t, http.StatusInternalServerError, post("/list/0s", "none"))

	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/stream/1h", strings.NewReader("1"))
	require.NoError(t, err)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, err := http.DefaultClient.Do(request) //nolint:bodyclose // there is no answer
		_ = err
	}()
	require.Eventually(t, func() bool { return ask(t, server.URL+"/stream?total=1").Begun == 1 }, time.Minute, 10*time.Millisecond)
	leave()
	<-gone
	require.Equal(t, []int{1}, ask(t, server.URL+"/stream?total=1").Missing, "its worker went before it was done")
}
