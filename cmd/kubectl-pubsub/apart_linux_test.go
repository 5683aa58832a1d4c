package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A browser that the dashboard started must not end with the Ctrl-C that ends the dashboard.
func TestCtrlCIsNotTheBrowsers(t *testing.T) {
	folder := t.TempDir()
	told := filepath.Join(folder, "told")
	script := fmt.Sprintf("#!/bin/sh\nread -r _ _ _ _ group _ </proc/$$/stat\necho \"$group $1\" >%[1]s.new\nexec mv %[1]s.new %[1]s\n", told)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "xdg-open"), []byte(script), 0o700))
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	openBrowser(t.Context(), io.Discard, "http://127.0.0.1:1/")
	var text []byte
	require.Eventually(t, func() (there bool) {
		var err error
		text, err = os.ReadFile(told)
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
	group, url, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	assert.Equal(t, "http://127.0.0.1:1/", url)
	assert.NotEqual(t, strconv.Itoa(syscall.Getpgrp()), group)
}
