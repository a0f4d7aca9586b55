package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"portreeve.io/portreeve/agent/tuning/plan"
)

// version is that of the file. It changes when an older agent would misread it.
const version = 1

// Errors of reading a journal.
var (
	// ErrNewer: a newer agent has written it, and knows what stands where.
	ErrNewer = errors.New("the journal is a newer version's")
	// ErrCorrupt: it was cut off or changed on the disk.
	ErrCorrupt = errors.New("the journal is corrupt")
)

// state is what the journal holds.
type state struct {
	Wish    Wish         `json:"wish"`
	Entries []plan.Entry `json:"entries"`
}

// blank says that s remembers nothing: no journal at all says the same.
func (s state) blank() bool {
	return len(s.Entries) == 0 && len(s.Wish.Settings) == 0 && s.Wish.Stop == ""
}

// file is the journal's file. Sum is the SHA-256 of State without white space, in
// hexadecimal: an original that has changed on the disk must not be given back.
type file struct {
	Version int             `json:"version"`
	Sum     string          `json:"sum"`
	State   json.RawMessage `json:"state"`
}

func encode(s state) ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the journal: %w", err)
	}
	data, err := json.MarshalIndent(file{version, sum(raw), raw}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode the journal: %w", err)
	}
	return append(data, '\n'), nil
}

func decode(data []byte) (state, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return state{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if f.Version > version {
		return state{}, fmt.Errorf("%w: %d, this agent reads %d: nothing is changed; run the newer agent again, or let it give everything back first", ErrNewer, f.Version, version)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, f.State); err != nil || f.Version != version || sum(compact.Bytes()) != f.Sum {
		return state{}, fmt.Errorf("%w: its sum is another", ErrCorrupt)
	}
	var s state
	if err := json.Unmarshal(f.State, &s); err != nil {
		return state{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	for _, e := range s.Entries {
		if e.Key == "" || len(e.Wrote) == 0 {
			return state{}, fmt.Errorf("%w: an entry without key or values", ErrCorrupt)
		}
	}
	return s, nil
}

func sum(raw []byte) string {
	hash := sha256.Sum256(raw)
	return hex.EncodeToString(hash[:])
}
