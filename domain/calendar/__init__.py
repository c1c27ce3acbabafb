"""Every date of billing before money is involved: frequencies, periods, due dates, working days, payroll dates."""
