// RUN: leat-opt %s -split-input-file -verify-diagnostics

// What is built parses; the text is kept.
func.func @ok() attributes {a = #leat.kv<"sink(4)+recent(1020)">, b = #leat.kv<"kv<ring,retain=sink(4)+recent(1020),pos=sink:rank;local:abs,event=after>">,
                            c = #leat.kv<"recent(7)">, d = #leat.kv<"retain=all,pos=*:abs">} { return }

// -----
// expected-error @+1 {{cache policy "top(1020,mass)": retain: 'top(...)' keeps tokens by score (rules D3, L6, L7), which is not built}}
func.func @f() attributes {a = #leat.kv<"top(1020,mass)">} { return }

// -----
// expected-error @+1 {{retain: 'sink(S)' needs '+recent(R)'}}
func.func @f() attributes {a = #leat.kv<"sink(4)">} { return }

// -----
// expected-error @+1 {{retain: 'recent(0)' needs a whole number of tokens, 1 or more}}
func.func @f() attributes {a = #leat.kv<"recent(0)">} { return }

// -----
// expected-error @+1 {{retain: 'all' stands alone (rule L11: a token is in one segment)}}
func.func @f() attributes {a = #leat.kv<"all+recent(3)">} { return }

// -----
// expected-error @+1 {{pos: 'const(4096)' reads unrotated keys at a fixed distance (rule L2), which is not built}}
func.func @f() attributes {a = #leat.kv<"retain=sink(100)+recent(4096),pos=sink:const(4096);local:abs">} { return }

// -----
// expected-error @+1 {{policy item 'select' (dimension D5) is not built yet}}
func.func @f() attributes {a = #leat.kv<"retain=all,select=topk(16,rep=toprho(4),agg=meanq,share=heads,on=step)">} { return }

// -----
// expected-error @+1 {{event 'before(100)' (dimension D12) is not built}}
func.func @f() attributes {a = #leat.kv<"sink(4)+recent(9),event=before(100)">} { return }

// -----
// expected-error @+1 {{policy item 'colour=blue' is unknown}}
func.func @f() attributes {a = #leat.kv<"recent(9),colour=blue">} { return }

// -----
// expected-error @+1 {{retain: 'recents(9)' is unknown}}
func.func @f() attributes {a = #leat.kv<"recents(9)">} { return }

// -----
func.func @precision() attributes {a = #leat.kv<"prec=f16">, b = #leat.kv<"sink(4)+recent(60),prec=*:bf16">} { return }

// -----
func.func @codes() attributes {a = #leat.kv<"prec=f8">, b = #leat.kv<"retain=all,prec=i4(g=32)">, c = #leat.kv<"recent(8),prec=i8">} { return }

// -----
// expected-error @+1 {{prec: 'i2' (dimension D7) is not built; built are f16, bf16, f8, i8, i4, and i8(g=N) and i4(g=N) with N values to a scale}}
func.func @f() attributes {a = #leat.kv<"prec=i2">} { return }

// -----
// expected-error @+1 {{prec: 'f8(g=32)' (dimension D7) needs the form i8(g=N) or i4(g=N) with N from 1 to 4096}}
func.func @f() attributes {a = #leat.kv<"prec=f8(g=32)">} { return }

// -----
// expected-error @+1 {{prec: 'i4(g=0)' (dimension D7) needs the form i8(g=N) or i4(g=N) with N from 1 to 4096}}
func.func @f() attributes {a = #leat.kv<"prec=i4(g=0)">} { return }

// -----
// expected-error @+1 {{prec: different precisions per segment (dimension D7) are not built}}
func.func @f() attributes {a = #leat.kv<"sink(4)+recent(60),prec=sink:f16;local:bf16">} { return }

// -----
func.func @pages() attributes {a = #leat.kv<"layout=paged(16)">, b = #leat.kv<"retain=all,paged(256),prec=i8">, c = #leat.kv<"sink(4)+recent(60),layout=paged(8)">, d = #leat.kv<"layout=ring,recent(7)">} { return }

// -----
// expected-error @+1 {{layout 'paged(24)' (dimension D1) needs the form paged(P) with P entries to a page, a power of two from 8 to 256}}
func.func @f() attributes {a = #leat.kv<"layout=paged(24)">} { return }

// -----
// expected-error @+1 {{layout 'paged(512)' (dimension D1) needs the form paged(P)}}
func.func @f() attributes {a = #leat.kv<"paged(512)">} { return }

// -----
// expected-error @+1 {{layout 'units(128)' (dimension D1) is not built; built are contig, ring and paged(P)}}
func.func @f() attributes {a = #leat.kv<"units(128),retain=all">} { return }
