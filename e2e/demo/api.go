package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// api reads objects through one long-lived kubectl proxy: the live view reads several each
// second, and a kubectl for each would take a core of its own.
type api struct {
	dir    string
	cmd    *exec.Cmd
	client *http.Client
}

// openAPI starts the proxy. It listens on a socket in a folder that is ours alone, because
// whoever reaches it is the cluster's administrator.
func openAPI(ctx context.Context, t tools) (*api, error) {
	if _, err := t.run(ctx, "", "kubectl", "get", "--raw", "/version", "--request-timeout=10s"); err != nil {
		return nil, fmt.Errorf("the cluster does not answer; make cluster-up brings it up: %w", err)
	}
	dir, err := os.MkdirTemp("", "demo-")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "api.sock")
	a := &api{dir: dir, cmd: t.command(ctx, "kubectl", "proxy", "--unix-socket="+socket)}
	a.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	if err := a.cmd.Start(); err != nil {
		a.removeDir()
		return nil, fmt.Errorf("kubectl proxy: %w", err)
	}
	if err := a.await(ctx); err != nil {
		a.close()
		return nil, fmt.Errorf("kubectl proxy does not answer: %w", err)
	}
	return a, nil
}

// await waits until the cluster answers through the proxy.
func (a *api) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		var version struct{ GitVersion string }
		err := a.get(ctx, "/version", &version)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

func (a *api) close() {
	_ = a.cmd.Process.Kill() // it may have ended already
	_ = a.cmd.Wait()         // it is of no use any more, however it ended
	a.removeDir()
}

func (a *api) removeDir() {
	_ = os.RemoveAll(a.dir) // a leftover empty folder is in the way of nobody
}

// errNotFound means that there is no such object.
var errNotFound = errors.New("not found")

// get reads the object at an API path.
func (a *api) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// The proxy takes requests to localhost alone.
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%s: %w", path, errNotFound)
	}
	if response.StatusCode != http.StatusOK {
		var status struct{ Message string }
		_ = json.NewDecoder(response.Body).Decode(&status) // the code alone is an answer too
		return fmt.Errorf("%s: %s: %s", path, response.Status, status.Message)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
