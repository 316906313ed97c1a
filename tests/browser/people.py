"""Invented people of the page tests: their identity cards in the vault, their tokens in everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hub.domain.citizen_id import check_character
from hub.domain.times import day_start_ms
from hub.vault.cards import IdentityCard, Vault
from tests.browser.days import TODAY

CARDS = {
    # key: name, first 17 digits of the number, address, phone
    "ye": ("叶秀兰", "33250119480312402", "浙江省丽水市莲都区紫金街道灯塔社区3幢201室", "13905780001"),
    "ye_son": ("叶建军", "33250119740918401", "浙江省丽水市莲都区紫金街道灯塔社区3幢201室", "13905780002"),
    "ye_wife": ("吴小燕", "33110219760205402", "浙江省丽水市莲都区紫金街道灯塔社区3幢201室", None),
    "mei": ("梅素珍", "33250219360520002", "浙江省丽水市龙泉市剑池街道南秦村12号", "13905780003"),
    "lan": ("蓝永根", "33252919520608511", "浙江省丽水市景宁畲族自治县红星街道岭北村7号", "13905780004"),
    "zhou": ("周雨桐", "33112120150904002", "浙江省丽水市青田县鹤城街道湖边村21号", None),
    "chen": ("陈思远", "33112220140117001", "浙江省丽水市缙云县五云街道官店村5号", None),
    "chen_father": ("陈立", "33112219850703001", "浙江省丽水市缙云县五云街道官店村5号", "13905780005"),
    "hu": ("胡金水", "33252619450211001", "浙江省丽水市松阳县西屏街道城西社区16号", None),
    "lin": ("林国平", "33252319591130101", "浙江省丽水市遂昌县妙高街道上南门8号", "13905780006"),
    "pan": ("潘阿凤", "33252719460316202", "浙江省丽水市云和县凤凰山街道解放东街40号", "13905780007"),
    "liu": ("柳长松", "33252519400708301", "浙江省丽水市庆元县松源街道濛洲街9号", None),
}


def number(key: str) -> str:
    """Citizen number of a person, with its check character."""
    body = CARDS[key][1]
    return body + check_character(body)


def write_cards(vault: Vault, but: Sequence[str] = ()) -> Mapping[str, str]:
    """Write the cards of all but some into the vault; returns key → token of everybody."""
    tokens = {key: vault.tokens.person_token(number(key)) for key in CARDS}
    vault.put_many(
        [
            IdentityCard(
                person=tokens[key],
                origin="ga-huji/registration.resident",
                record_time=day_start_ms(TODAY),
                name=name,
                number=number(key),
                address=address,
                phone=phone,
            )
            for key, (name, _body, address, phone) in CARDS.items()
            if key not in but
        ]
    )
    return tokens
