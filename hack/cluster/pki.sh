# Sourced by up.sh and node.sh: certificates and kubeconfigs in $dir/pki, with
# openssl. Keys are P-256, because RSA keys take seconds each.

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

authority() {
  mkdir -p "$dir/pki"
  chmod 700 "$dir/pki"
  key "$dir/pki/ca.key"
  openssl req -x509 -new -key "$dir/pki/ca.key" -days 30 -out "$dir/pki/ca.crt" -subj /CN=portreeve-cluster \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# certificate NAME SUBJECT EXTENSIONS
certificate() {
  local at=$dir/pki/$1
  key "$at.key"
  openssl req -new -key "$at.key" -subj "$2" |
    openssl x509 -req -CA "$dir/pki/ca.crt" -CAkey "$dir/pki/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
      -days 30 -out "$at.crt" -extfile <(printf '%b' "$3") 2>/dev/null
}

# kubeconfig NAME SUBJECT SERVER writes NAME.kubeconfig with a certificate in it.
kubeconfig() {
  certificate "$1" "$2" extendedKeyUsage=clientAuth
  local at=$dir/pki/$1
  cat >"$at.kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: portreeve
  cluster: {server: "$3", certificate-authority-data: $(base64 -w0 <"$dir/pki/ca.crt")}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 <"$at.crt"), client-key-data: $(base64 -w0 <"$at.key")}
contexts:
- name: portreeve
  context: {cluster: portreeve, user: $1}
current-context: portreeve
EOF
}
