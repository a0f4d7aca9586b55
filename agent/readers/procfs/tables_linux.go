package procfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/readers/procnet"
	"portreeve.io/portreeve/agent/socket"
)

// openNetFolder opens the folder net of a process of n. It returns netns.ErrChanged if the
// process is in another namespace by now.
func openNetFolder(n netns.Namespace) (*os.Root, error) {
	d, err := os.OpenRoot(filepath.Dir(n.Path))
	if err != nil {
		return nil, err
	}
	info, err := d.Stat(filepath.Base(n.Path))
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if info.Sys().(*syscall.Stat_t).Ino != n.Inode {
		return nil, errors.Join(netns.ErrChanged, d.Close())
	}
	return d, nil
}

// countSockets reads the number of sockets, without reading each of them.
func countSockets(d *os.Root) (kernelstat.SocketCount, error) {
	v4, err := d.ReadFile("sockstat")
	if err != nil {
		return kernelstat.SocketCount{}, err
	}
	v6, err := d.ReadFile("sockstat6")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return kernelstat.SocketCount{}, err
	}
	return kernelstat.CountSockets(v4, v6)
}

// lineBuffer reads the rows of tables. Its zero value is ready for use.
type lineBuffer struct{ reader *bufio.Reader }

// addRows adds the rows of one of the tables to c. The first line has the names of the columns.
func (b *lineBuffer) addRows(table io.Reader, protocol socket.Protocol, c *portusage.Counter) error {
	if b.reader == nil {
		b.reader = bufio.NewReader(table)
	}
	b.reader.Reset(table)
	var row portusage.Row
	for number := 1; ; number++ {
		line, err := b.reader.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return fmt.Errorf("line %d: %w", number, err)
		case number == 1:
			continue
		}
		if err := procnet.DecodeRow(line, protocol, &row); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		c.Add(&row)
	}
}
