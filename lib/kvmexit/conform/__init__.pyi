from kvmexit.conform.adapter import Adapter as Adapter
from kvmexit.conform.guests import GUESTS as GUESTS, Guest as Guest
from kvmexit.conform.linux import Linux as Linux
from kvmexit.conform.report import bug_form as bug_form, summary as summary
from kvmexit.conform.run import Plan as Plan, Result as Result, conform as conform
from kvmexit.conform.verdict import Judgement as Judgement, Verdict as Verdict, judge as judge
from kvmexit.conform.vmms import VMMS as VMMS
