package mutate

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Journal remembers which mutants are killed, so that a run that was ended goes
// on where it was. A mutant is another one once its function changes.
type Journal struct {
	file   *os.File
	killed map[string]bool
}

// OpenJournal opens the journal in a file, which may not be there yet.
func OpenJournal(name string) (*Journal, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	j := &Journal{killed: map[string]bool{}}
	old, err := os.Open(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		lines := bufio.NewScanner(old)
		for lines.Scan() {
			j.killed[lines.Text()] = true
		}
		if err := errors.Join(lines.Err(), old.Close()); err != nil {
			return nil, err
		}
	}
	j.file, err = os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return j, err
}

// Killed reports whether a mutant was killed.
func (j *Journal) Killed(m *Mutant) bool { return j.killed[m.key] }

// Kill notes that a mutant was killed.
func (j *Journal) Kill(m *Mutant) error {
	_, err := fmt.Fprintln(j.file, m.key)
	return err
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
