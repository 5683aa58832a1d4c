package demo

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
	"time"
)

// The numbers of the story. A worker does 2 messages a second. With the HPA's default of
// one look every 15 s, 1,200 messages take the fleet from 1 over 4 and 7 to 10 workers in
// 45 s, are done half a minute later, and the fleet, which gives back at most 20 % at a
// time, is down to 1 again after two more minutes.
const (
	channelName = "orders"
	queueKey    = "orders"
	burstJob    = "orders-burst"

	minReplicas = 1
	maxReplicas = 10
	target      = 50 // targetQueueDepth, messages
	upStep      = 3  // maxScaleUpStep, workers
	cooldown    = 15 // cooldownPeriod, seconds
	messages    = 1200
	workTime    = 500 * time.Millisecond
)

//go:embed manifests/*.yaml
var manifests embed.FS

// values are what the manifests are filled with.
type values struct {
	Namespace, ImageTag, Channel, Queue, Burst string

	Min, Max, Target, UpStep, Cooldown, Messages int
	WorkTime                                     time.Duration
}

func (d *demo) values() values {
	return values{
		Namespace: d.Namespace, ImageTag: d.ImageTag, Channel: channelName, Queue: queueKey, Burst: burstJob,
		Min: minReplicas, Max: maxReplicas, Target: target, UpStep: upStep, Cooldown: cooldown, Messages: messages,
		WorkTime: workTime,
	}
}

// render fills one of the manifests.
func render(name string, v values) (string, error) {
	parsed, err := template.ParseFS(manifests, "manifests/"+name)
	if err != nil {
		return "", fmt.Errorf("manifest %s: %w", name, err)
	}
	var text strings.Builder
	if err := parsed.Execute(&text, v); err != nil {
		return "", fmt.Errorf("manifest %s: %w", name, err)
	}
	return text.String(), nil
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}
