package ports

// services are ports above 1023 on which servers usually listen (from IANA's registry of
// service names, and Kubernetes).
var services = func() (p Set) {
	for _, port := range []uint16{
		1433, 1521, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3000, 3128, 3268, 3269, 3306, 3389,
		4222, 4317, 4318, 5000, 5060, 5061, 5222, 5432, 5671, 5672, 5900, 5985, 5986, 6379, 6443,
		6650, 7000, 7077, 8000, 8008, 8080, 8081, 8086, 8088, 8443, 8883, 8888, 9000, 9042, 9090,
		9092, 9093, 9100, 9200, 9300, 9443, 10250, 10255, 11211, 15672, 26379, 27017, 27018, 50051,
	} {
		p.Add(port)
	}
	return p
}()

// IsService reports whether servers usually listen on port: one below 1024, or a known one.
func IsService(port uint16) bool { return port < 1024 || services.Contains(port) }
