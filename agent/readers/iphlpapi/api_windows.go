package iphlpapi

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/socket"
)

var (
	dll                 = windows.NewLazySystemDLL("iphlpapi.dll")
	getExtendedTCPTable = dll.NewProc("GetExtendedTcpTable")
	getExtendedUDPTable = dll.NewProc("GetExtendedUdpTable")
	getTCPStatisticsEx  = dll.NewProc("GetTcpStatisticsEx")
	getTCPStatisticsEx2 = dll.NewProc("GetTcpStatisticsEx2") // Server 2016 and later

	getCompartment = dll.NewProc("GetCurrentThreadCompartmentId")
	setCompartment = dll.NewProc("SetCurrentThreadCompartmentId")

	getThreadTimes = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetThreadTimes")
)

// Table classes (iprtrmib.h).
const (
	tcpTableOwnerPIDAll = 5
	udpTableOwnerPID    = 1
)

// query reads t with the owners' PIDs, unsorted, into buf.
func (t tableKind) query(buf []byte) (uint32, apiError) {
	proc, class, family := getExtendedTCPTable, uintptr(tcpTableOwnerPIDAll), uintptr(windows.AF_INET)
	if t == udp4 || t == udp6 {
		proc, class = getExtendedUDPTable, udpTableOwnerPID
	}
	if t == tcp6 || t == udp6 {
		family = windows.AF_INET6
	}
	size := uint32(len(buf))
	code, _, _ := proc.Call(uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0, family, class, 0)
	return size, apiError(code)
}

// readStatistics returns the TCP statistics of f and the name of the function that returned
// them, which is the newer one if it exists.
func readStatistics(f socket.Family) (socket.TCPStatistics, string, error) {
	proc := getTCPStatisticsEx2
	if proc.Find() != nil {
		proc = getTCPStatisticsEx
	}
	if err := proc.Find(); err != nil {
		return socket.TCPStatistics{}, proc.Name, err
	}
	family := uintptr(windows.AF_INET)
	if f == socket.IPv6 {
		family = windows.AF_INET6
	}
	buf := make([]byte, statisticsBytes)
	if code, _, _ := proc.Call(uintptr(unsafe.Pointer(&buf[0])), family); code != 0 {
		return socket.TCPStatistics{}, proc.Name, apiError(code)
	}
	s, err := parseStatistics(f, buf)
	return s, proc.Name, err
}

// readThreadTime returns the CPU time of this thread, with the resolution of a clock tick.
func readThreadTime() time.Duration {
	var creation, exit, kernel, user windows.Filetime
	ok, _, _ := getThreadTimes.Call(uintptr(windows.CurrentThread()), uintptr(unsafe.Pointer(&creation)),
		uintptr(unsafe.Pointer(&exit)), uintptr(unsafe.Pointer(&kernel)), uintptr(unsafe.Pointer(&user)))
	if ok == 0 {
		return 0
	}
	ticks := func(f windows.Filetime) time.Duration {
		return time.Duration(int64(f.HighDateTime)<<32|int64(f.LowDateTime)) * 100
	}
	return ticks(kernel) + ticks(user)
}
