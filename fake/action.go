package fake

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/server"
)

// An Action is one call of the API and what became of it.
type Action struct {
	fault.Op
	// Err is what the caller got, nil if the call succeeded.
	Err error
	// Fault describes the injected fault that this call met, "" without.
	Fault string
	// Revision is the cluster's revision after the call.
	Revision uint64
}

// String returns the action in the form "create secrets ci/builder-token",
// followed by the error if it failed. It never shows what a Secret holds.
func (a Action) String() string {
	switch {
	case a.Err != nil && a.Fault != "":
		return fmt.Sprintf("%s: %v [%s]", a.Op, a.Err, a.Fault)
	case a.Err != nil:
		return fmt.Sprintf("%s: %v", a.Op, a.Err)
	case a.Fault != "":
		return fmt.Sprintf("%s [%s]", a.Op, a.Fault)
	}
	return a.Op.String()
}

// IsWrite reports whether the action asked for a change of what is stored, as
// TokenRequests and reviews don't. Whether it happened is another question: see Err
// and Fault.
func (a Action) IsWrite() bool {
	switch a.Verb {
	case "get", "list", "watch":
		return false
	}
	return a.Subresource != object.TokenSubresource && object.GroupOf(a.Resource) == ""
}

// Actions returns every call so far, in order: reads, failures, and what was invalid
// included. It does not include what is read through a [Reader], which is a cache and
// not the API, nor what no client would send: a call whose context is done, or without
// the name or the namespace of its object.
func (c *Cluster) Actions() []Action {
	actions, _ := c.actionsFrom(0)
	return actions
}

// actionsFrom returns the actions from the one with the number n, and that of the next.
func (c *Cluster) actionsFrom(n int) ([]Action, int) {
	found, next := c.api().ActionsFrom(n)
	actions := make([]Action, len(found))
	for i, a := range found {
		actions[i] = Action(a)
	}
	return actions, next
}

// Writes returns the calls of [Cluster.Actions] that asked for a change.
func (c *Cluster) Writes() []Action {
	return slices.DeleteFunc(c.Actions(), func(a Action) bool { return !a.IsWrite() })
}

// ClearActions forgets the calls so far, so that a test sees only its own.
func (c *Cluster) ClearActions() { c.api().ClearActions() }

// WithActor returns a context whose calls are recorded as those of actor, in
// [fault.Op.Actor]. [Cluster.Settle] does it for controllers.
func WithActor(ctx context.Context, actor string) context.Context {
	return server.WithActor(ctx, actor)
}

// FormatActions returns actions as text for failure messages, one a line, with the
// actors that are known. Repeated lines, such as those of retries, are shown once, with
// their number.
func FormatActions(actions []Action) string {
	lines := make([]string, len(actions))
	for i, a := range actions {
		if a.Actor != "" {
			lines[i] = a.Actor + ": "
		}
		lines[i] += a.String()
	}
	var b strings.Builder
	for len(lines) > 0 {
		period, more := repetition(lines)
		for _, line := range lines[:period] {
			b.WriteString(line + "\n")
		}
		switch {
		case more > 0 && period == 1:
			fmt.Fprintf(&b, "… and the same %d more times\n", more)
		case more > 0:
			fmt.Fprintf(&b, "… and these %d lines %d more times\n", period, more)
		}
		lines = lines[period*(more+1):]
	}
	return b.String()
}

// How many lines may make up what is repeated, and how often it must come again to
// be folded.
const (
	longestRefrain = 8
	fewestRepeats  = 3
)

// repetition returns how many lines at the beginning come again right after them, and
// how often: at least fewestRepeats times, or not at all.
func repetition(lines []string) (period, more int) {
	for period = 1; period <= longestRefrain; period++ {
		more = 0
		for next := period; next+period <= len(lines) && slices.Equal(lines[:period], lines[next:next+period]); next += period {
			more++
		}
		if more >= fewestRepeats {
			return period, more
		}
	}
	return 1, 0
}
