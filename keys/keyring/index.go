package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/internal/strictjson"
	"github.com/kubesa/serviceaccount/keys"
)

// indexVersion is the version of the index that is read and written.
const indexVersion = 1

// A ringIndex is what the index of a folder says.
type ringIndex struct {
	Version int          `json:"version"`
	Keys    []indexedKey `json:"keys"`
	// Removed are keys whose files may still be there, and Adding those whose files may
	// be there already.
	Removed []string `json:"removed,omitempty"`
	Adding  []string `json:"adding,omitempty"`
}

func newIndex(all []Key) ringIndex {
	index := ringIndex{Version: indexVersion, Keys: []indexedKey{}}
	for _, key := range all {
		index.Keys = append(index.Keys, newIndexedKey(key))
	}
	return index
}

// leftovers returns the keys whose files are to be removed.
func (index *ringIndex) leftovers() []string { return slices.Concat(index.Removed, index.Adding) }

type indexedKey struct {
	ID         string         `json:"id"`
	Algorithm  keys.Algorithm `json:"alg"`
	First      bool           `json:"first,omitempty"`
	VerifyOnly bool           `json:"verifyOnly,omitempty"`
	Added      time.Time      `json:"added"`
	Promoted   time.Time      `json:"promoted,omitzero"`
	Demoted    time.Time      `json:"demoted,omitzero"`
}

func newIndexedKey(k Key) indexedKey {
	return indexedKey{k.ID, k.Algorithm, k.First, k.VerifyOnly, k.Added, k.Promoted, k.Demoted}
}

func (k indexedKey) ringKey() Key {
	return Key{ID: k.ID, Algorithm: k.Algorithm, First: k.First, VerifyOnly: k.VerifyOnly,
		Added: k.Added.UTC(), Promoted: k.Promoted.UTC(), Demoted: k.Demoted.UTC()}
}

// indexNames are the names in an index.
var indexNames = []string{"version", "keys", "removed", "adding", "id", "alg", "first", "verifyOnly", "added", "promoted", "demoted"}

// parseIndex reads an index as strictly as it is written. Its errors go on
// after the name of the file.
func parseIndex(data []byte) (*ringIndex, error) {
	if err := strictjson.Check(string(data), 3, indexNames); err != nil {
		return nil, fmt.Errorf("is damaged: %w", err)
	}
	var version struct {
		Version int `json:"version"`
	}
	_ = json.Unmarshal(data, &version) // zero with an error
	if version.Version != indexVersion {
		return nil, fmt.Errorf("has version %d, want %d", version.Version, indexVersion)
	}
	var index ringIndex
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	switch {
	case decoder.Decode(&index) != nil:
		return nil, errors.New("is damaged: a member that is unknown or of the wrong type")
	case index.Keys == nil:
		return nil, errors.New(`is damaged: no "keys"`)
	}
	if fault := index.check(); fault != "" {
		return nil, errors.New("is damaged: " + fault)
	}
	return &index, nil
}

// check refuses what no steps lead to, and ids that would name other files.
func (index *ringIndex) check() (fault string) {
	if len(index.Keys) > maxKeys {
		return "too many keys"
	}
	seen := map[string]bool{}
	signing := false
	for _, key := range index.Keys {
		switch {
		case !isID(key.ID) || seen[key.ID]:
			return "a bad or repeated id"
		case key.Added.IsZero():
			return "a key that was never added"
		case key.VerifyOnly && (key.Demoted.IsZero() || !key.Promoted.IsZero()):
			return "a key without a private half that signs"
		}
		seen[key.ID] = true
		if key.ringKey().State() == Signing {
			if signing {
				return "two keys that sign"
			}
			signing = true
		}
	}
	left := index.leftovers()
	if len(left) > 2*maxKeys {
		return "too many removed keys"
	}
	for _, id := range left {
		if !isID(id) || seen[id] {
			return "a bad id of a removed key"
		}
	}
	return ""
}

// isID reports whether id is of the form that [keys.ID] returns.
func isID(id string) bool {
	if len(id) != 43 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
