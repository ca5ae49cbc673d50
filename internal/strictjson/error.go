package strictjson

import "fmt"

// An Error says what is wrong with a text, and where.
type Error struct {
	Offset  int    // in bytes
	Problem string // in words, nothing of it from the text
	Name    string // the name that it is about, if any, as in the text
}

// Error returns the problem and the offset, and nothing of the text.
func (e *Error) Error() string { return fmt.Sprintf("%s at byte %d", e.Problem, e.Offset) }
