package broker

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// answered reports whether a command with this error had a reply. A server that refuses the
// connection itself answers none of the commands.
func answered(err error) bool { return err == nil || errors.As(err, new(redis.Error)) }

// Round sends commands to a client of the link in one pipeline, with a question for the
// server's role: node is the client's address in mode Cluster, else empty. failed is set where
// err is the server's, and none of the replies counts; else each command has its own error, too.
func (l *Link) Round(ctx context.Context, node string, client *redis.Client, commands []redis.Cmder) (failed bool, err error) {
	err = l.exchange(ctx, l.node(node), client, commands)
	for _, command := range commands {
		if err := command.Err(); err != nil {
			command.SetErr(l.redactor.safe(err))
		}
	}
	// Replies that came before do not count: the server's role is not known.
	failed = err != nil && (!answered(err) || !answered(commands[0].Err()) || causeOf(err) == Unauthorized)
	return failed, err
}

// exchange is Round, with the servers' errors of the commands as they are.
func (l *Link) exchange(ctx context.Context, n *node, client *redis.Client, commands []redis.Cmder) error {
	pipe := client.Pipeline()
	_ = pipe.BatchProcess(ctx, commands...) // it only queues
	asksRole := !l.roleRefused.Load()
	if asksRole {
		if n.role == nil {
			n.role = redis.NewSliceCmd(ctx, "role")
		}
		n.role.SetErr(errNoReply)
		n.role.SetVal(nil)
		_ = pipe.BatchProcess(ctx, n.role)
	}
	_, err := pipe.Exec(ctx)
	err = l.redactor.safe(err)
	if !answered(err) {
		return err
	}
	if asksRole && !errors.Is(n.role.Err(), errNoReply) {
		n.role.SetErr(l.redactor.safe(n.role.Err()))
		refused, stale := checkRole(n.role, l.address(client))
		if stale != nil {
			return stale
		}
		if refused && l.roleRefused.CompareAndSwap(false, true) {
			l.logger.Warn("server does not tell its role: a demoted master can't be told from the master; let its user run ROLE",
				"server", l.server.Address, "error", n.role.Err())
		}
	}
	if l.cluster != nil && err != nil {
		return l.redactor.safe(redirect(ctx, l.cluster, commands, err))
	}
	return err
}
