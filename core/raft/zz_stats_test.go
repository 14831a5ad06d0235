package raft
import ("testing";"fmt";"os";"sort";"strings")
var zzStats = map[string]int{}
func TestMain(m *testing.M){ c:=m.Run(); var k []string; for s:=range zzStats {k=append(k,s)}; sort.Strings(k); for _,s:=range k {fmt.Println(s,zzStats[s])}; os.Exit(c) }
func zzNote(s string){ zzStats[strings.TrimSpace(s)]++ }
