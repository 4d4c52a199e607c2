"""Citations of the packs that ship with us, in Chinese: a rule file writes them in English. Others are shown as written."""

from __future__ import annotations

ZH: dict[str, str] = {
    # instruments
    "-155 °C and 10 minutes (own)": "-155 °C 与 10 分钟（本系统规定）",
    "12 and 30 values, 60 minutes, 24 hours, 2 % of the registered limits (own)": "12 个与 30 个数值、60 分钟、24 小时、登记限值宽度的 2 %（本系统规定）",
    "EU GMP Annex 1": "欧盟 GMP 附录 1",
    "Factors 2 and 6 and 24 h (own)": "2 倍、6 倍与 24 小时（本系统规定）",
    "GMP 2010, Annex 1 Sterile products (药品生产质量管理规范 附录1 无菌药品)": "药品生产质量管理规范（2010 年修订）附录 1 无菌药品",
    "GSP annexes 2013, temperature and humidity monitoring (药品经营质量管理规范 附录 温湿度自动监测)": "药品经营质量管理规范（2013 年）附录 温湿度自动监测",
    "OSHA oxygen-deficiency figure": "美国 OSHA 缺氧限值",
    "One minute of grace and the 60-minute step (own)": "1 分钟宽限与 60 分钟升级（本系统规定）",
    "Published storage temperatures of vapour-phase liquid nitrogen (reference cryo)": "气相液氮储存温度的公开资料",
    "Signs of tampered emission monitoring data (reference cems-signs)": "污染源自动监测数据造假的常见迹象",
    "Time to respond (own)": "响应时间（本系统规定）",
    "Two consecutive records (own)": "连续两条记录（本系统规定）",
    "US EPA ECMPS check catalogue": "美国环保署 ECMPS 数据检查目录",
    # what of a rule they cover
    "-150 °C": "-150 °C",
    "19.5 %": "19.5 %",
    "2 to 8 °C, alarm when out of range": "2 至 8 °C，超出范围报警",
    "3520 per cubic metre in operation": "动态每立方米 3520 个",
    "a gap as a sign": "数据缺失作为迹象",
    "a record at least every 30 minutes in storage": "储存期间至少每 30 分钟记录一次",
    "consecutive": "连续条数",
    "constant values as a sign": "数值恒定作为迹象",
    "continuous recording": "连续记录",
    "factor, steps": "倍数与升级",
    "grace, steps": "宽限与升级",
    "numbers": "数值",
    "range check of a reported value": "上报数值的量程检查",
    "time_to_respond": "响应时间",
    "warning, delays": "预警与延时",
}


def cited(words: str, language: str) -> str:
    """Return the words of a citation in a language."""
    return ZH.get(words, words) if language == "zh" else words
