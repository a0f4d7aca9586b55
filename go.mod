module portreeve.io/portreeve

go 1.26.0
