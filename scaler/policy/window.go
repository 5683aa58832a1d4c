package policy

import "time"

// MaxWindow is the longest window.
const MaxWindow = time.Hour

// perMessage is how many times as long as a message is in flight the window must be. What is in
// flight at one moment is the same work as a moment later for as long as a message takes, so a
// window of less than some times that has seen too little to take workers away by.
const perMessage = 5

// windows are what WindowFor rounds up to.
var windows = []time.Duration{
	2 * time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 20 * time.Minute, 30 * time.Minute, 45 * time.Minute, MaxWindow,
}

// UtilizationWindow is how far back the work in flight counts: Utilization.Window, with its
// default.
func (s Spec) UtilizationWindow() time.Duration { return s.utilization().Window }

// WithWindow is the spec with that window.
func (s Spec) WithWindow(window time.Duration) Spec {
	s.Utilization = s.utilization()
	s.Utilization.Window = window
	return s
}

// WindowFor is the window for messages that are in flight for took on average, 0 or more, if it was
// before until now; 0: there was none. It is at least UtilizationWindow and at least perMessage times
// as long as they, up to MaxWindow.
//
// It becomes longer at once, because a window that is too short takes workers from work. It becomes
// shorter only if a shorter one would also do for messages that take 2.25 times as long. Either way it is
// then the one for those that take 1.5 times as long.
//
// So a mean that stays within 20 % of any value changes the window at most once: the greatest such mean is 1.5
// times the least. What one of them has changed the window to is long enough for all, and too short for any to
// leave it.
func (s Spec) WindowFor(took, before time.Duration) time.Duration {
	needed := perMessage * min(took, MaxWindow)
	switch window := s.windowOver(needed); {
	case before <= 0:
		return window
	case window > before, s.windowOver(needed*9/4) < before:
		return s.windowOver(needed * 3 / 2)
	default:
		return before
	}
}

// windowOver is the shortest window of at least that time.
func (s Spec) windowOver(needed time.Duration) time.Duration {
	least := s.UtilizationWindow()
	if needed <= least {
		return least
	}
	for _, window := range windows {
		if window >= needed {
			return max(least, window)
		}
	}
	return MaxWindow
}
