package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	sentinels        = 3
	quorum           = 2
	replicaCount     = 2
	sentinelDeadline = 60 * time.Second
	downAfter        = time.Second
	sentinelPeriod   = 500 * time.Millisecond // in which sentinels tell each other, and ask the servers
	failoverTimeout  = 3 * time.Second        // after twice that, a failed election is repeated
)

// Sentinel is a master with two replicas and three sentinels, of which two must agree that
// the master is down. A master that does not answer for 1 s is replaced.
type Sentinel struct {
	MasterName string
	Data       []*Server // the first master, then its replicas
	Sentinels  []*Server

	t            testing.TB
	certificates arguments // of the sentinels' second addresses; nil: they have one
}

// StartSentinel runs it, and waits until the sentinels know each other and the replicas.
// args are those of each redis-server, as of Start; sentinels take of them what is theirs:
// TLS, --requirepass, and with ACLArgs the same users (the reader with SentinelReadOnlyRule).
func StartSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	return (&Sentinel{t: t, MasterName: "mymaster"}).start(args)
}

// StartSentinelOfBoth is StartSentinel, without users, of sentinels that are spoken to in another way than the
// servers: by plain text if those take TLS connections only (serversTLS), else by TLS. Sentinels speak to servers
// and to each other in the same way (Redis 7, src/sentinel.c: by tls-replication), so they listen for both.
// OtherAddrs is where they are spoken to in the other way.
func StartSentinelOfBoth(t testing.TB, authority *Authority, serversTLS bool) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t, MasterName: "mymaster", certificates: authority.Args()}
	if serversTLS {
		return s.start(authority.Args())
	}
	return s.start(nil)
}

func (s *Sentinel) start(args []string) *Sentinel {
	t := s.t
	t.Helper()
	args = slices.Clone(args)
	if password := arguments(args).value("--requirepass"); password != "" {
		args = append(args, "--masterauth", password)
	}
	master := Start(t, args...)
	host, port, _ := net.SplitHostPort(master.Addr)
	s.Data = append(s.Data, master)
	for range replicaCount {
		s.Data = append(s.Data, Start(t, append(slices.Clone(args), "--replicaof", host, port)...))
	}
	for _, replica := range s.Data[1:] {
		client := replica.Client()
		if err := await(sentinelDeadline, func(ctx context.Context) error { return linked(ctx, client) }); err != nil {
			t.Fatalf("replica %s: %v", replica.Addr, err)
		}
	}
	for range sentinels {
		s.Sentinels = append(s.Sentinels, s.startSentinel(master))
	}
	for _, sentinel := range s.Sentinels {
		client := s.ask(sentinel)
		if err := await(sentinelDeadline, func(ctx context.Context) error { return s.complete(ctx, client) }); err != nil {
			t.Fatalf("sentinel %s: %v", sentinel.Addr, err)
		}
	}
	return s
}

func (s *Sentinel) startSentinel(master *Server) *Server {
	s.t.Helper()
	dir := s.t.TempDir()
	sentinel := &Server{args: master.args, certificates: s.certificates, dir: dir, config: filepath.Join(dir, "sentinel.conf"), monitored: [2]string{s.MasterName, master.Addr}}
	start(s.t, sentinel)
	for _, period := range []string{"INFO-PERIOD", "PUBLISH-PERIOD", "ASK-PERIOD"} {
		if err := sentinel.Client().Do(s.t.Context(), "SENTINEL", "DEBUG", period, sentinelPeriod.Milliseconds()).Err(); err != nil {
			s.t.Fatal(err)
		}
	}
	return sentinel
}

// writeConfig writes a sentinel's file; one that it has written itself stays, as long as
// it is for the same port.
func (s *Server) writeConfig() error {
	host, port, _ := net.SplitHostPort(s.Addr)
	listen := "port " + port
	if s.args.tls() {
		listen = "tls-port " + port
	}
	if old, err := os.ReadFile(s.config); err == nil && slices.Contains(strings.Split(string(old), "\n"), listen) {
		return nil
	}
	name := s.monitored[0]
	masterHost, masterPort, _ := net.SplitHostPort(s.monitored[1])
	lines := []string{
		"bind " + host, "dir " + s.dir, "daemonize no", listen,
		fmt.Sprintf("sentinel monitor %s %s %s %d", name, masterHost, masterPort, quorum),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", name, downAfter.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s %d", name, failoverTimeout.Milliseconds()),
		fmt.Sprintf("sentinel parallel-syncs %s %d", name, replicaCount),
	}
	lines = append(lines, s.encryption()...)
	user, password := s.args.credentials()
	if user != "" {
		lines = append(lines, "user default off",
			fmt.Sprintf("user %s on >%s ~* &* +@all", AdminUser, AdminPassword),
			fmt.Sprintf("user %s on >%s %s", ReaderUser, ReaderPassword, SentinelReadOnlyRule),
			"sentinel sentinel-user "+user, "sentinel sentinel-pass "+password,
			fmt.Sprintf("sentinel auth-user %s %s", name, user))
	}
	if password != "" {
		lines = append(lines, fmt.Sprintf("sentinel auth-pass %s %s", name, password))
	}
	if user == "" && password != "" {
		lines = append(lines, "requirepass "+password, "sentinel sentinel-pass "+password)
	}
	return os.WriteFile(s.config, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// encryption are the lines of a sentinel's file about TLS.
func (s *Server) encryption() []string {
	_, otherPort, _ := net.SplitHostPort(s.other)
	certificates := s.args
	var lines []string
	switch {
	case s.args.tls() && s.other != "":
		lines = []string{"port " + otherPort, "tls-replication yes"}
	case s.args.tls():
		lines = []string{"port 0", "tls-replication yes"}
	case s.other != "":
		lines, certificates = []string{"tls-port " + otherPort}, s.certificates
	default:
		return nil
	}
	for _, option := range []string{"tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-auth-clients", "tls-client-cert-file", "tls-client-key-file"} {
		lines = append(lines, option+" "+certificates.value("--"+option))
	}
	return lines
}

// ask returns a client of one sentinel.
func (s *Sentinel) ask(sentinel *Server) *redis.SentinelClient {
	s.t.Helper()
	client := redis.NewSentinelClient(sentinel.options())
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

// complete says what a sentinel does not know yet.
func (s *Sentinel) complete(ctx context.Context, client *redis.SentinelClient) error {
	master, err := client.Master(ctx, s.MasterName).Result()
	if err != nil {
		return err
	}
	if master["flags"] != "master" || master["num-slaves"] != fmt.Sprint(replicaCount) || master["num-other-sentinels"] != fmt.Sprint(sentinels-1) {
		return fmt.Errorf("it doesn't know all: %v", master)
	}
	replicas, err := client.Replicas(ctx, s.MasterName).Result()
	if err != nil {
		return err
	}
	for _, replica := range replicas {
		if replica["flags"] != "slave" || replica["master-link-status"] != "ok" {
			return fmt.Errorf("it doesn't know the replicas: %v", replica)
		}
	}
	return nil
}

// SentinelAddrs are the sentinels' addresses.
func (s *Sentinel) SentinelAddrs() []string {
	return addrs(s.Sentinels)
}

// OtherAddrs are the sentinels' second addresses (StartSentinelOfBoth).
func (s *Sentinel) OtherAddrs() []string {
	var all []string
	for _, sentinel := range s.Sentinels {
		all = append(all, sentinel.other)
	}
	return all
}

// Client returns a client of the current master, whichever that is, with all rights; it is
// closed when the test ends.
func (s *Sentinel) Client() *redis.Client {
	s.t.Helper()
	options := s.Data[0].options()
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: s.MasterName, SentinelAddrs: s.SentinelAddrs(), TLSConfig: options.TLSConfig,
		Username: options.Username, Password: options.Password,
		SentinelUsername: options.Username, SentinelPassword: options.Password, // sentinels have the same users
	})
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Master is the server that a sentinel names as the master now.
func (s *Sentinel) Master() *Server {
	s.t.Helper()
	var errs []error
	for _, sentinel := range s.Sentinels {
		addr, err := s.ask(sentinel).GetMasterAddrByName(s.t.Context(), s.MasterName).Result()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, server := range s.Data {
			if server.Addr == net.JoinHostPort(addr[0], addr[1]) {
				return server
			}
		}
		errs = append(errs, fmt.Errorf("sentinel %s names a master %v that is none of the servers", sentinel.Addr, addr))
	}
	s.t.Fatal(errors.Join(errs...))
	return nil
}

// Failover has the sentinels replace the master (SENTINEL FAILOVER), which becomes a
// replica, and returns the new one when AwaitMaster does.
func (s *Sentinel) Failover(t testing.TB) *Server {
	t.Helper()
	old := s.Master()
	client := s.ask(s.Sentinels[0])
	// NOGOODSLAVE or INPROG for a while after another failover.
	err := await(sentinelDeadline, func(ctx context.Context) error { return client.Failover(ctx, s.MasterName).Err() })
	if err != nil {
		t.Fatal(err)
	}
	return s.AwaitMaster(t, old)
}

// AwaitMaster waits until all sentinels name a master that is not old, and that it says
// itself that it is one: after old was killed or paused, within about 5 s.
func (s *Sentinel) AwaitMaster(t testing.TB, old *Server) *Server {
	t.Helper()
	for _, sentinel := range s.Sentinels {
		client := s.ask(sentinel)
		err := await(sentinelDeadline, func(ctx context.Context) error {
			addr, err := client.GetMasterAddrByName(ctx, s.MasterName).Result()
			if err == nil && net.JoinHostPort(addr[0], addr[1]) == old.Addr {
				err = fmt.Errorf("the master is still %s", old.Addr)
			}
			return err
		})
		if err != nil {
			t.Fatalf("sentinel %s: %v", sentinel.Addr, err)
		}
	}
	master := s.Master()
	client := master.Client()
	err := await(sentinelDeadline, func(ctx context.Context) error {
		role, err := client.Do(ctx, "ROLE").Slice()
		if err == nil && role[0] != "master" {
			err = fmt.Errorf("its role is %v", role)
		}
		return err
	})
	if err != nil {
		t.Fatalf("master %s: %v", master.Addr, err)
	}
	return master
}
