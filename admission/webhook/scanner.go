package webhook

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/strictjson"
)

const (
	// maxDepth bounds how deep the arrays and objects of a review are nested. A pod
	// needs about 20.
	maxDepth = 256
	// maxItems bounds how many containers, volumes, mounts and references are
	// kept of a review, because each takes more memory than the few bytes it may
	// be written in.
	maxItems = 20_000
)

// A scanner reads the fields of Kubernetes objects: null stands for an absent
// value, as in encoding/json. A value of another type than expected is skipped
// and kept in Mismatch. Errors in the text stay in the Scanner; end returns them.
type scanner struct {
	strictjson.Scanner
	items int
}

func newScanner(ctx context.Context, src string) *scanner {
	return &scanner{Scanner: strictjson.Scanner{Source: src, MaxDepth: maxDepth, NullIsAbsent: true, Context: ctx}}
}

// end returns what is wrong with the text.
func (s *scanner) end() error {
	err := s.End()
	if e, ok := errors.AsType[*strictjson.Error](err); ok && e.Name != "" {
		return fmt.Errorf("%s: %s at byte %d", e.Problem, names.Quote(e.Name), e.Offset)
	}
	return err
}

// keep reports whether one more item may be kept.
func (s *scanner) keep() bool {
	if s.items++; s.items <= maxItems {
		return true
	}
	if s.Mismatch == nil {
		s.Mismatch = &strictjson.Error{Problem: fmt.Sprintf("more than %d containers, volumes, mounts and references", maxItems)}
	}
	return false
}

// present reports whether an object comes next. If not, the value is read.
func (s *scanner) present() bool {
	if s.Next() == '{' {
		return true
	}
	s.Members(nil)
	return false
}

// list reads an array. It returns nil if there is none, or it is null.
func list[T any](s *scanner, read func(*scanner, *T)) []T {
	var l []T
	if s.Next() == '[' {
		l = []T{}
	}
	for range s.Elements {
		if !s.keep() {
			continue
		}
		l = append(l, *new(T))
		read(s, &l[len(l)-1])
	}
	return l
}

// field reads an object that has one text of interest.
func (s *scanner) field(name string) (text string) {
	for key := range s.Members {
		if key == name {
			text = s.Text()
		}
	}
	return text
}

// ref reads a reference, which may be missing.
func (s *scanner) ref() *corev1.LocalObjectReference {
	if !s.present() {
		return nil
	}
	return &corev1.LocalObjectReference{Name: s.field("name")}
}

// refIn reads an object that has one reference of interest.
func (s *scanner) refIn(name string) (ref *corev1.LocalObjectReference) {
	for key := range s.Members {
		if key == name {
			ref = s.ref()
		}
	}
	return ref
}
