package iphlpapi

import (
	"errors"
	"fmt"
)

// insufficientBuffer is ERROR_INSUFFICIENT_BUFFER (winerror.h).
const insufficientBuffer = 122

// maxAttempts limits the attempts to read a table that grows meanwhile.
const maxAttempts = 5

var errGrowing = fmt.Errorf("the table grew while it was read, %d times in succession", maxAttempts)

// apiError is an error code of the IP Helper API.
type apiError uint32

func (e apiError) Error() string { return fmt.Sprintf("error %d", uint32(e)) }

// queryFunc reads a table into buf and returns the size of the table. If buf is too small,
// the code is insufficientBuffer.
type queryFunc func(buf []byte) (size uint32, code apiError)

// readRows reads the table into *buf, which it enlarges as needed, and returns its rows,
// valid until the next use of *buf.
func (t tableKind) readRows(buf *[]byte, query queryFunc) ([]byte, error) {
	const minBytes = 4 << 10
	if len(*buf) < minBytes {
		*buf = make([]byte, minBytes)
	}
	for range maxAttempts {
		size, code := query(*buf)
		switch {
		case code == 0:
			return t.sliceRows(*buf)
		case code != insufficientBuffer:
			return nil, fmt.Errorf("%v: %w", t, code)
		case size > headerBytes+maxRows*uint32(rowBytes[t]):
			return nil, fmt.Errorf("%v: %w: it needs %d bytes", t, errTooMany, size)
		}
		// A quarter more, for rows that are added meanwhile.
		*buf = make([]byte, max(int(size), len(*buf))*5/4)
	}
	return nil, fmt.Errorf("%v: %w", t, errGrowing)
}

// shrinkBuffer releases a large buffer that is mostly unused.
func shrinkBuffer(buf *[]byte, used int) {
	const largeBytes = 1 << 20
	if len(*buf) > largeBytes && used < len(*buf)/4 {
		*buf = nil
	}
}

// isNotSupported reports whether err is ERROR_NOT_SUPPORTED (winerror.h): the table does not
// exist, for example because IPv6 was removed.
func isNotSupported(err error) bool {
	const code apiError = 50
	return errors.Is(err, code)
}
