package doctor

import (
	"fmt"
	"time"
)

// clocksApart is how far this machine's clock may be from the cluster's. The plugin counts with the cluster's, but
// kubectl tells ages by this machine's, and certificates and credentials are checked by it.
const clocksApart = 30 * time.Second

// clocks examines how far the cluster's clock is ahead of this machine's.
func clocks(skew time.Duration, known bool) Finding {
	const subject = "clock"
	words := fmt.Sprintf("this machine's clock is %s behind the API server's", skew.Round(time.Second))
	if skew < 0 {
		words = fmt.Sprintf("this machine's clock is %s ahead of the API server's", (-skew).Round(time.Second))
	}
	switch {
	case !known:
		return Finding{Unknown, subject, "the API server's answers have no Date, so times are told by this machine's clock", "see that date -u tells the same here and on the nodes, to some seconds"}
	case skew == 0:
		return Finding{OK, subject, "this machine's and the API server's are the same, to some seconds", ""}
	case skew.Abs() <= clocksApart:
		return Finding{OK, subject, words, ""}
	}
	return Finding{Warning, subject, words + ": kubectl pubsub counts with the API server's, but kubectl tells ages by this machine's, and certificates may look invalid",
		"compare date -u here and on the API server's node, and set the one that is wrong by NTP (with systemd: timedatectl set-ntp true)"}
}
