"""The register: the inline read model that decisions are made on.

What is billed, paid, offset and written off by item, which money lies where on an account, what is not billed yet, and
who is placed where. It is folded from events in the transaction that stores them (PLT-101), so balances of account,
member and organisation change in the same commit as what causes them (BAL-023).
"""
