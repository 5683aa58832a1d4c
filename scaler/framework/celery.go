package framework

import "encoding/json"

// Celery has a list for each step of priority, whose names kombu makes (kombu,
// transport/redis.py, _q_for_pri): its transport options priority_steps and sep are the user's to choose. unacked is the
// tasks that workers hold, of all queues of the database: what they fetched ahead, and what has a
// countdown or an eta, too. One that runs is there only with task_acks_late. The prefix is global_keyprefix. Nothing records when a task came. kombu does not know
// clusters, but works at a node of one that has all its keys.
var Celery = Framework{
	Name:       "Celery",
	Prefix:     &Prefix{Tagged: "{celery}:"},
	Priorities: &Priorities{Steps: "0,3,6,9", Separator: "\x06\x16"},
	Cluster:    TaggedByPrefix,
	Queue: []Key{
		{Name: "<prefix><queue><step>", Holds: List, Counts: Waiting},
	},
	Shared: []Key{
		{Name: "<prefix>unacked", Holds: Hash, Counts: Held, Owner: &Owner{Index: "<prefix>unacked_index", Queue: celeryQueue}},
	},
	Unheld: "no task is in Celery's unacked, where one that runs is only with task_acks_late: without it a task is acknowledged as it begins, and does not keep its worker",
}

// celeryQueue is the queue that a task in unacked came from: [message, exchange, routing key]
// (kombu, transport/redis.py, QoS.append). In the exchange without a name, which Celery sends to unless an exchange is
// configured, the routing key is the queue's name. Of another exchange only its bindings tell.
func celeryQueue(value string) (queue string, known bool) {
	var parts []json.RawMessage
	if json.Unmarshal([]byte(value), &parts) != nil || len(parts) != 3 {
		return "", false
	}
	var exchange string
	if json.Unmarshal(parts[1], &exchange) != nil || json.Unmarshal(parts[2], &queue) != nil {
		return "", false
	}
	return queue, exchange == "" && queue != ""
}
