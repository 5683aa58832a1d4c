package framework

import "slices"

// frameworks is the presets that there are.
var frameworks = []Framework{
	Sidekiq,
	Celery,
	BullMQ,
	Asynq,
	RQ,
	Laravel,
	Bull,
	BeeQueue,
	Arq,
}

// All is the presets that there are.
func All() []Framework { return slices.Clone(frameworks) }

// Named is the framework of that name. It is false where there is none.
func Named(name string) (Framework, bool) {
	for _, f := range frameworks {
		if f.Name == name {
			return f, true
		}
	}
	return Framework{}, false
}

// Names are those of the frameworks for which a statement holds.
func Names(holds func(Framework) bool) []string {
	var names []string
	for _, f := range frameworks {
		if holds(f) {
			names = append(names, f.Name)
		}
	}
	return names
}
