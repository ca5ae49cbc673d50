package webhook

import (
	"errors"
	"fmt"

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

// end returns what is wrong with the text.
func (s *scanner) end() error {
	err := s.End()
	if e, ok := errors.AsType[*strictjson.Error](err); ok && e.Name != "" {
		return fmt.Errorf("%s: %s at byte %d", e.Problem, cut(e.Name), e.Offset)
	}
	return err
}

// object calls member with each name of the object that comes next, to read the
// value. It reports whether there was an object.
func (s *scanner) object(member func(key string) error) (bool, error) {
	present := s.Next() == '{'
	for key := range s.Members {
		if err := member(key); err != nil {
			return false, err
		}
	}
	return present, nil
}

// array calls element for each element of the array that comes next, to read
// it. It reports whether there was an array.
func (s *scanner) array(element func(i int) error) (bool, error) {
	present := s.Next() == '['
	for i := range s.Elements {
		if err := element(i); err != nil {
			return false, err
		}
	}
	return present, nil
}

// keep reports whether one more item may be kept.
func (s *scanner) keep() bool {
	if s.items++; s.items > maxItems && s.Mismatch == nil {
		s.Mismatch = &strictjson.Error{Problem: fmt.Sprintf("more than %d containers, volumes, mounts and references", maxItems)}
	}
	return s.items <= maxItems
}

func (s *scanner) str(dst *string) error {
	*dst = s.Text()
	return nil
}

func (s *scanner) boolean(dst **bool) error {
	*dst = s.Bool()
	return nil
}

func (s *scanner) skip() error {
	s.Skip()
	return nil
}
