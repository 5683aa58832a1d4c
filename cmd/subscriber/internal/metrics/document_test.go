package metrics

import (
	"testing"

	"github.com/jawaracloud/pubsub-operator/internal/metricsdoc"
)

func TestMetricsDocument(t *testing.T) {
	metricsdoc.Check(t, "../../../..", "subscriber", New().registry)
}
