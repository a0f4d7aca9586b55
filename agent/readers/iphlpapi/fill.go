package iphlpapi

import (
	"errors"
	"fmt"
)

// insufficientBuffer is ERROR_INSUFFICIENT_BUFFER (winerror.h).
const insufficientBuffer = 122

// maxAttempts bounds how often a table is asked for that grows meanwhile.
const maxAttempts = 5

var errGrowing = fmt.Errorf("the table grew faster than it could be read, %d times", maxAttempts)

// apiError is the error code of the IP Helper API.
type apiError uint32

func (e apiError) Error() string { return fmt.Sprintf("error %d", uint32(e)) }

// queryFunc asks Windows for a table. It fills buf, and says how many bytes the table has;
// where buf is too small for that, the code is insufficientBuffer.
type queryFunc func(buf []byte) (size uint32, code apiError)

// readRows reads the table into *buf, which it makes as large as it takes, and returns its
// rows, valid until the next use of *buf.
func (t tableKind) readRows(buf *[]byte, from queryFunc) ([]byte, error) {
	const least = 4 << 10
	if len(*buf) < least {
		*buf = make([]byte, least)
	}
	for range maxAttempts {
		size, code := from(*buf)
		switch {
		case code == 0:
			return t.sliceRows(*buf)
		case code != insufficientBuffer:
			return nil, fmt.Errorf("%v: %w", t, code)
		case size > headerBytes+maxRows*uint32(rowBytes[t]):
			return nil, fmt.Errorf("%v: %w: it needs %d bytes", t, errTooMany, size)
		}
		// A quarter more than that, for what comes meanwhile.
		*buf = make([]byte, max(int(size), len(*buf))*5/4)
	}
	return nil, fmt.Errorf("%v: %w", t, errGrowing)
}

// shrinkBuffer gives back a buffer that one table needed and most don't.
func shrinkBuffer(buf *[]byte, used int) {
	const ample = 1 << 20
	if len(*buf) > ample && used < len(*buf)/4 {
		*buf = nil
	}
}

// isNotSupported says that Windows has no such table, as where IPv6 was taken out:
// ERROR_NOT_SUPPORTED (winerror.h).
func isNotSupported(err error) bool {
	const code apiError = 50
	return errors.Is(err, code)
}
