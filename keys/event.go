package keys

import (
	"log/slog"
	"time"

	"github.com/kubesa/serviceaccount/internal/logvalue"
)

// An Event is what the Observe hooks of sources and publishers get after they have
// read, fetched or asked for keys.
type Event struct {
	Keys    int   // how many keys there are now
	Changed bool  // whether they are others than before
	Err     error // why there are no new keys; the last good ones are still used

	// Took is how long reading, fetching or asking took; of a ring, the step or the
	// check for changes by others.
	Took time.Duration

	// Skipped says which published keys are left out of these, and why; see
	// [Set.Skipped].
	Skipped []error

	// Panic and Stack are set if code of the caller panicked that was to get the
	// keys. The value may hold a secret.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }
