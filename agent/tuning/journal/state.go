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

// version is the version of the file. It changes if an older agent would misread it.
const version = 1

// Errors of Open.
var (
	// ErrNewer is the error of a journal that a newer agent has written.
	ErrNewer = errors.New("the journal was written by a newer version")
	// ErrCorrupt is the error of a journal that was truncated or changed on disk.
	ErrCorrupt = errors.New("the journal is corrupt")
)

// journalState is the content of the journal.
type journalState struct {
	Desired DesiredState        `json:"wish"`
	Entries []plan.JournalEntry `json:"entries"`
}

// isEmpty reports whether s is the same as having no journal.
func (s journalState) isEmpty() bool {
	return len(s.Entries) == 0 && len(s.Desired.Settings) == 0 && s.Desired.Stop == ""
}

// file is the journal's file. Sum is the hexadecimal SHA-256 of State without white
// space: an original that was changed on disk must not be restored.
type file struct {
	Version int             `json:"version"`
	Sum     string          `json:"sum"`
	State   json.RawMessage `json:"state"`
}

func encodeState(s journalState) ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the journal: %w", err)
	}
	data, err := json.MarshalIndent(file{Version: version, Sum: computeSum(raw), State: raw}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode the journal: %w", err)
	}
	return append(data, '\n'), nil
}

func decodeState(data []byte) (journalState, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return journalState{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if f.Version > version {
		return journalState{}, fmt.Errorf("%w: %d, this agent reads %d: nothing is changed; run the newer agent again, or let it restore everything first", ErrNewer, f.Version, version)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, f.State); err != nil || f.Version != version || computeSum(compact.Bytes()) != f.Sum {
		return journalState{}, fmt.Errorf("%w: checksum mismatch", ErrCorrupt)
	}
	var s journalState
	if err := json.Unmarshal(f.State, &s); err != nil {
		return journalState{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	for _, e := range s.Entries {
		if e.Key == "" || len(e.Wrote) == 0 {
			return journalState{}, fmt.Errorf("%w: an entry has no key or no values", ErrCorrupt)
		}
	}
	return s, nil
}

func computeSum(raw []byte) string {
	hash := sha256.Sum256(raw)
	return hex.EncodeToString(hash[:])
}
