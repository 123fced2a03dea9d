// Formulas that are choices: masks by chunks, prefixes and strides, which are no function of the distance alone.
#include "passes/Stream/IndexAnalysis.h"

using namespace mlir;

namespace leat::stream {

namespace {

using ChoicePtr = std::shared_ptr<const Choice>;
using JoinEnds = llvm::function_ref<std::optional<Pieces>(ArrayRef<Pieces>)>;

constexpr unsigned kMaxEnds = 64; // more branches than any mask has

bool same(const ChoicePtr &a, const ChoicePtr &b) {
  if (a->test || b->test)
    return a->test && b->test && *a->test == *b->test && same(a->yes, b->yes) && same(a->no, b->no);
  return llvm::equal(a->pieces.pieces, b->pieces.pieces,
                     [](const auto &p, const auto &q) { return p.from == q.from && p.value == q.value; });
}

/// Null where an end is not known or `ends` runs out.
ChoicePtr joinChoices(ArrayRef<ChoicePtr> of, JoinEnds fn, unsigned &ends) {
  const auto *first = llvm::find_if(of, [](const ChoicePtr &c) { return c->test.has_value(); });
  if (first == of.end()) {
    std::optional<Pieces> end;
    if (ends-- > 0)
      end = fn(llvm::map_to_vector(of, [](const ChoicePtr &c) { return c->pieces; }));
    else
      ends = 0;
    return end ? std::make_shared<const Choice>(Choice{std::nullopt, nullptr, nullptr, std::move(*end)}) : nullptr;
  }
  const Choice::Test &test = *(*first)->test;
  auto branch = [&](bool yes) {
    auto below = llvm::map_to_vector(of, [&](const ChoicePtr &c) { return !c->test || !(*c->test == test) ? c : yes ? c->yes : c->no; });
    return joinChoices(below, fn, ends);
  };
  ChoicePtr yes = branch(true), no = yes ? branch(false) : nullptr;
  if (!no)
    return nullptr;
  return same(yes, no) ? yes : std::make_shared<const Choice>(Choice{test, yes, no, {}});
}

} // namespace

ChoicePtr IndexAnalysis::asChoice(const Formula &f) {
  if (f.choice)
    return f.choice;
  auto pieces = asPieces(f);
  return pieces ? std::make_shared<const Choice>(Choice{std::nullopt, nullptr, nullptr, std::move(*pieces)}) : nullptr;
}

Formula IndexAnalysis::join(ArrayRef<Formula> of, JoinEnds fn) {
  auto parts = llvm::map_to_vector(of, [&](const Formula &f) { return asChoice(f); });
  if (llvm::is_contained(parts, nullptr))
    return {};
  unsigned ends = kMaxEnds;
  ChoicePtr joined = joinChoices(parts, fn, ends);
  if (!joined || !joined->test)
    return joined ? Formula::of(joined->pieces) : Formula();
  Formula f;
  f.choice = std::move(joined);
  return f;
}

Formula IndexAnalysis::quotient(const Formula &numerator, const Formula &divisor, bool remainder) {
  auto c = divisor.linear ? divisor.linear->asConstant() : std::nullopt;
  if (!choices || !numerator.linear || !numerator.linear->isKnown() || !c || *c <= 0 || sign(*numerator.linear) <= 0)
    return {}; // below 0 the roundings differ
  if (auto n = numerator.linear->asConstant())
    return Formula::of(Linear(remainder ? *n % *c : *n / *c));
  return Formula::of(symbolOf({*numerator.linear, *c, remainder}));
}

Linear IndexAnalysis::symbolOf(Quotient q) {
  auto *known = llvm::find_if(llvm::MutableArrayRef(quotients), [&](const Quotient &other) {
    return q.numerator == other.numerator && q.divisor == other.divisor && q.remainder == other.remainder;
  });
  int64_t number = known - quotients.data();
  if (number == static_cast<int64_t>(quotients.size()))
    quotients.push_back(std::move(q));
  return Linear::formal(Linear::kFirstQuotient + number);
}

const Quotient *IndexAnalysis::quotientOf(Linear::Symbol s) const {
  bool isOne = !s.first && s.second >= Linear::kFirstQuotient && !Linear::isUnknown(s);
  return isOne ? &quotients[s.second - Linear::kFirstQuotient] : nullptr;
}

Linear IndexAnalysis::substitute(const Linear &l, int64_t formal, const Linear &value) {
  Linear result(l.constant);
  for (auto [s, c] : l.terms) {
    if (const Quotient *known = quotientOf(s)) {
      Quotient q = *known; // a copy: new ones move the list
      q.numerator = substitute(q.numerator, formal, value);
      result = result + symbolOf(std::move(q)) * c;
    } else {
      result = result + (!s.first && s.second == formal ? value : Linear::symbol(s)) * c;
    }
  }
  return result;
}

} // namespace leat::stream
